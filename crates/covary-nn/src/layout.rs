//! Where each named tensor lies in a flat vector.

/// One tensor of a flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutEntry {
    /// torchvision's or PyTorch's name.
    pub name: String,
    /// Its shape, PyTorch's order.
    pub shape: Vec<usize>,
    /// First number in the flat vector.
    pub offset: usize,
}

impl LayoutEntry {
    /// Numbers of the tensor.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its part of the flat vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.count()
    }

    /// Whether it is a weight of a convolution or linear layer, as against a bias or a BatchNorm's parameter.
    pub fn is_weight(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The tensors of a flat vector, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<LayoutEntry>,
    len: usize,
}

impl Layout {
    /// Appends a tensor.
    pub(crate) fn push(&mut self, name: impl Into<String>, shape: &[usize]) {
        let entry = LayoutEntry {
            name: name.into(),
            shape: shape.to_vec(),
            offset: self.len,
        };
        self.len += entry.count();
        self.entries.push(entry);
    }

    /// The tensors in order.
    pub fn entries(&self) -> &[LayoutEntry] {
        &self.entries
    }

    /// Those of running statistics, which lie in front of what else does not train.
    pub(crate) fn running(&self) -> &[LayoutEntry] {
        let running = |entry: &LayoutEntry| {
            entry.name.ends_with("running_mean") || entry.name.ends_with("running_var")
        };
        let count = self.entries.iter().take_while(|entry| running(entry));
        &self.entries[..count.count()]
    }

    /// Numbers of the flat vector.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<&LayoutEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}
