//! Which columns of a parquet file hold images and labels.
//!
//! Names that are taken without being asked for stand in [`IMAGES`] and [`LABELS`]. Where no column has one of the first,
//! the only column of bytes is taken. `data.image_column` and `data.label_column` choose others.

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::dataset::ReadOptions;

const IMAGES: [&str; 8] = [
    "image", "img", "images", "pixels", "picture", "jpg", "png", "webp",
];
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "class"];

/// Positions of the columns that are read, among all leaves of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Encoded images.
    pub(super) image: usize,
    /// Names of image files, for rows without bytes.
    pub(super) path: Option<usize>,
    /// Name and position of the labels.
    pub(super) label: Option<(String, usize)>,
    /// All columns with their types, for messages.
    pub(super) present: String,
}

impl Columns {
    /// Chooses the columns of a file; a reason in words if there is nothing to choose.
    pub(super) fn of(schema: &SchemaDescriptor, options: &ReadOptions) -> Result<Self, String> {
        let fields = schema.root_schema().get_fields();
        let present: Vec<String> = fields.iter().map(|field| describe(field)).collect();
        let present = present.join(", ");
        let leaf = |path: String| {
            let mut columns = schema.columns().iter();
            columns.position(|column| column.path().string() == path)
        };
        let find = |name: &str| fields.iter().find(|field| field.name() == name);
        let asked = |key: &str, name: &str| {
            find(name)
                .ok_or_else(|| format!("data.{key} = {name:?}, and the columns are {present}"))
        };
        let field = if options.image_column.is_empty() {
            choose(fields, &present)?
        } else {
            asked("image_column", &options.image_column)?
        };
        let name = field.name();
        let (image, path) = match kind(field) {
            Kind::Bytes => (leaf(name.to_owned()), None),
            Kind::Image => (leaf(format!("{name}.bytes")), leaf(format!("{name}.path"))),
            _ => {
                return Err(format!(
                    "column {} holds no encoded images, which are bytes or a struct of bytes and path",
                    describe(field)
                ));
            }
        };
        let image = image.ok_or("its columns contradict its schema")?;
        let label = if options.label_column.is_empty() {
            LABELS.iter().find_map(|name| find(name))
        } else {
            Some(asked("label_column", &options.label_column)?)
        };
        let label = match label {
            Some(field) if matches!(kind(field), Kind::Number | Kind::Text) => {
                leaf(field.name().to_owned()).map(|at| (field.name().to_owned(), at))
            }
            Some(field) => {
                return Err(format!(
                    "column {} holds no labels, which are whole numbers or names; data.label_column names another column, the columns are {present}",
                    describe(field)
                ));
            }
            None => None,
        };
        Ok(Self {
            image,
            path,
            label,
            present,
        })
    }
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    /// A struct of bytes and path.
    Image,
    Number,
    Text,
    Other,
}

fn kind(field: &Type) -> Kind {
    if field.is_group() {
        let bytes = field
            .get_fields()
            .iter()
            .find(|inner| inner.name() == "bytes");
        return match bytes {
            Some(bytes) if bytes.is_primitive() && kind(bytes) == Kind::Bytes => Kind::Image,
            _ => Kind::Other,
        };
    }
    let info = field.get_basic_info();
    let is_text = info.logical_type_ref() == Some(&LogicalType::String)
        || info.converted_type() == ConvertedType::UTF8;
    match field.get_physical_type() {
        Physical::BYTE_ARRAY if is_text => Kind::Text,
        Physical::BYTE_ARRAY => Kind::Bytes,
        Physical::INT32
        | Physical::INT64
        | Physical::BOOLEAN
        | Physical::FLOAT
        | Physical::DOUBLE => Kind::Number,
        _ => Kind::Other,
    }
}

fn describe(field: &Type) -> String {
    let words = match kind(field) {
        Kind::Bytes => "bytes".to_owned(),
        Kind::Text => "text".to_owned(),
        _ if field.is_group() => {
            let inner: Vec<&str> = field
                .get_fields()
                .iter()
                .map(|inner| inner.name())
                .collect();
            format!("struct of {}", inner.join(", "))
        }
        _ => field.get_physical_type().to_string().to_lowercase(),
    };
    format!("{} ({words})", field.name())
}

/// The image column that needs no choice.
fn choose<'a>(
    fields: &'a [std::sync::Arc<Type>],
    present: &str,
) -> Result<&'a std::sync::Arc<Type>, String> {
    let holds_images =
        |field: &&std::sync::Arc<Type>| matches!(kind(field), Kind::Bytes | Kind::Image);
    let named: Vec<_> = fields
        .iter()
        .filter(|field| IMAGES.contains(&field.name()))
        .collect();
    let candidates: Vec<_> = match named
        .iter()
        .copied()
        .filter(holds_images)
        .collect::<Vec<_>>()
    {
        found if found.is_empty() => fields.iter().filter(holds_images).collect(),
        found => found,
    };
    match (candidates.as_slice(), named.first()) {
        ([field], _) => Ok(field),
        ([], Some(field)) => Err(format!(
            "column {} holds no encoded images, which are bytes or a struct of bytes and path",
            describe(field)
        )),
        ([], None) => Err(format!("no column holds images, the columns are {present}")),
        _ => Err(format!(
            "several columns hold images; data.image_column names one of {present}"
        )),
    }
}
