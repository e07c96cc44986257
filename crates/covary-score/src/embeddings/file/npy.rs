//! The npy format of `numpy`, versions 1 to 3: magic, version, length of the header, a Python dictionary with the type, the order and the shape,
//! then the numbers (`numpy` enhancement proposal 1).
//!
//! Numbers are floats of 2, 4 or 8 bytes or integers, of either byte order, in C or Fortran order. Nothing is allocated for what a header
//! claims before the file is known to hold it.

use half::f16;

use super::Matrix;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads a matrix.
pub(super) fn read(bytes: &[u8], name: Option<&str>) -> Result<Matrix, String> {
    if let Some(name) = name {
        return Err(format!("an npy file has no tensors by name ({name})"));
    }
    let (header, data) = split(bytes).ok_or("it does not begin as npy files do")?;
    let shape = shape(header)?;
    let &[rows, width] = shape.as_slice() else {
        return Err(format!("an array of shape {shape:?} is no matrix"));
    };
    let kind = entry(header, "descr").and_then(quoted);
    let kind = kind.ok_or("its numbers are records; one kind of number is needed")?;
    let (size, number) = decoder(kind)
        .ok_or_else(|| format!("numbers of type {kind} are neither floats nor integers"))?;
    let length = rows.checked_mul(width).and_then(|n| n.checked_mul(size));
    let Some(data) = length.and_then(|length| data.get(..length)) else {
        return Err(format!(
            "it claims {rows} x {width} numbers of {size} bytes and holds {} bytes",
            data.len()
        ));
    };
    let numbers = data.chunks_exact(size).map(number);
    let fortran = entry(header, "fortran_order").is_some_and(|order| order.starts_with("True"));
    let values = if fortran {
        let columns: Vec<f32> = numbers.collect();
        let at = |index: usize| columns[index % width * rows + index / width];
        (0..rows * width).map(at).collect()
    } else {
        numbers.collect()
    };
    Ok(Matrix::new(values, rows, width))
}

/// Header and data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[major, _minor], rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = if major == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What follows a key of the header's dictionary.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quotes = [format!("'{key}'"), format!("\"{key}\"")];
    let (at, length) = quotes
        .iter()
        .find_map(|quoted| Some((header.find(quoted)?, quoted.len())))?;
    Some(
        header[at + length..]
            .trim_start()
            .strip_prefix(':')?
            .trim_start(),
    )
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| "'\"".contains(*c))?;
    text[1..].split(quote).next()
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let text = entry(header, "shape")
        .and_then(|text| text.strip_prefix('(')?.split(')').next())
        .ok_or("its header names no shape")?;
    let sizes = text.split(',').map(str::trim).filter(|s| !s.is_empty());
    sizes
        .map(|size| {
            size.parse()
                .map_err(|_| format!("its header names the shape ({text})"))
        })
        .collect()
}

type Number = fn(&[u8]) -> f32;

/// Bytes of a number and how they are read, of a type such as `<f4`.
fn decoder(kind: &str) -> Option<(usize, Number)> {
    macro_rules! number {
        ($kind:ty, $big:expr, $cast:expr) => {{
            let little: Number = |bytes| {
                let bytes = bytes.try_into().expect("a chunk is as long as a number");
                $cast(<$kind>::from_le_bytes(bytes))
            };
            let big: Number = |bytes| {
                let bytes = bytes.try_into().expect("a chunk is as long as a number");
                $cast(<$kind>::from_be_bytes(bytes))
            };
            (size_of::<$kind>(), if $big { big } else { little })
        }};
    }
    let big = kind.starts_with('>');
    Some(match kind.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => number!(f16, big, f16::to_f32),
        "f4" => number!(f32, big, |x: f32| x),
        "f8" => number!(f64, big, |x: f64| x as f32),
        "i1" => number!(i8, big, |x: i8| f32::from(x)),
        "i2" => number!(i16, big, |x: i16| f32::from(x)),
        "i4" => number!(i32, big, |x: i32| x as f32),
        "i8" => number!(i64, big, |x: i64| x as f32),
        "u1" => number!(u8, big, |x: u8| f32::from(x)),
        "u2" => number!(u16, big, |x: u16| f32::from(x)),
        "u4" => number!(u32, big, |x: u32| x as f32),
        "u8" => number!(u64, big, |x: u64| x as f32),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    const NUMBERS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    #[test]
    fn every_kind_of_number_is_read_in_both_byte_orders() {
        let data = |number: fn(f64) -> Vec<u8>| NUMBERS.iter().flat_map(|x| number(*x)).collect();
        let cases: [(&str, Vec<u8>); 8] = [
            ("<f2", data(|x| f16::from_f64(x).to_le_bytes().to_vec())),
            (">f2", data(|x| f16::from_f64(x).to_be_bytes().to_vec())),
            ("<f4", data(|x| (x as f32).to_le_bytes().to_vec())),
            (">f4", data(|x| (x as f32).to_be_bytes().to_vec())),
            ("<f8", data(|x| x.to_le_bytes().to_vec())),
            ("|i1", data(|x| vec![x as u8])),
            ("<i8", data(|x| (x as i64).to_le_bytes().to_vec())),
            (">u2", data(|x| (x as u16).to_be_bytes().to_vec())),
        ];
        for (kind, data) in cases {
            let matrix = read(&npy(kind, "False", "(3, 2)", &data), None).unwrap();
            assert_eq!((matrix.rows, matrix.width), (3, 2), "{kind}");
            assert_eq!(matrix.values, NUMBERS.map(|x| x as f32), "{kind}");
        }
    }

    #[test]
    fn fortran_order_is_columns_one_after_the_other() {
        let data: Vec<u8> = NUMBERS
            .iter()
            .flat_map(|x| (*x as f32).to_le_bytes())
            .collect();
        let matrix = read(&npy("<f4", "True", "(3, 2)", &data), None).unwrap();
        assert_eq!((matrix.rows, matrix.width), (3, 2));
        assert_eq!(matrix.values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn what_is_no_matrix_is_named_and_nothing_is_allocated_for_claims() {
        let data = [0; 24];
        for (kind, shape, words) in [
            ("<c8", "(3, 2)", "neither floats nor integers"),
            ("<f4", "(6,)", "no matrix"),
            ("<f4", "(3, 1000000000000)", "holds 24 bytes"),
            (
                "<f4",
                "(18446744073709551615, 18446744073709551615)",
                "holds 24 bytes",
            ),
            ("<f4", "(-3, 2)", "shape"),
            ("<f4", "99999999999999999999", "no shape"),
        ] {
            let error = read(&npy(kind, "False", shape, &data), None).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let mut claims = MAGIC.to_vec();
        claims.extend([2, 0, 255, 255, 255, 255]);
        assert!(read(&claims, None).unwrap_err().contains("does not begin"));
    }
}
