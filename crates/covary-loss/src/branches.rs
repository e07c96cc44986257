//! One value for every output of every view: embeddings z, predictions p and the target's embeddings, each in the order of the views.
//!
//! Views come in groups of one size each: the first group, which is all that a momentum target sees, and the others. Where a step has
//! two views they are a and b.

/// The outputs of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Online embedding z.
    Embedding,
    /// Prediction p.
    Prediction,
    /// Embedding of the momentum target.
    Target,
}

impl Branch {
    /// All of them, in the order of [`Branches`].
    pub const ALL: [Self; 3] = [Self::Embedding, Self::Prediction, Self::Target];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Prediction => "prediction",
            Self::Target => "target",
        }
    }
}

/// A value of every output of every view; each list has one entry a view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branches<T> {
    /// Of the online embeddings z.
    pub embedding: Vec<T>,
    /// Of the predictions p.
    pub prediction: Vec<T>,
    /// Of the embeddings of the momentum target.
    pub target: Vec<T>,
}

impl<T> Branches<T> {
    /// The values that `value` has for each output of each of `views` views.
    pub fn from_fn(views: usize, mut value: impl FnMut(Branch, usize) -> T) -> Self {
        let [embedding, prediction, target] =
            Branch::ALL.map(|branch| (0..views).map(|view| value(branch, view)).collect());
        Self {
            embedding,
            prediction,
            target,
        }
    }

    /// The values of one output, by view.
    pub fn of(&self, branch: Branch) -> &[T] {
        match branch {
            Branch::Embedding => &self.embedding,
            Branch::Prediction => &self.prediction,
            Branch::Target => &self.target,
        }
    }

    /// Every value: embeddings, predictions, targets.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        Branch::ALL
            .into_iter()
            .flat_map(|branch| self.of(branch).iter())
    }

    /// Every value, to be changed, in the order of [`Branches::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.embedding
            .iter_mut()
            .chain(&mut self.prediction)
            .chain(&mut self.target)
    }
}

/// How many views a step has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewCount {
    /// Views of the first group, at least 1; the only ones that a momentum target sees.
    pub first: usize,
    /// Views of all groups, at least 2.
    pub all: usize,
}

impl ViewCount {
    /// Two views, a and b.
    pub const PAIR: Self = Self { first: 2, all: 2 };

    /// Whether there are two views only, which may then go in one direction, from a to b.
    pub fn is_pair(self) -> bool {
        self.all == 2
    }
}

/// A view's name in messages: a, b, c, ..., and a number behind z.
pub fn view_name(view: usize) -> String {
    match u8::try_from(view) {
        Ok(place @ 0..26) => char::from(b'a' + place).to_string(),
        _ => (view + 1).to_string(),
    }
}
