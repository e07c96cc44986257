//! Whether a JPEG holds the whole image that its header promises (ITU-T T.81).
//!
//! Decoders show as much of a damaged file as they can: what is missing becomes grey or a smear, and no error says so. This file
//! walks the compressed data without computing pixels. Each scan must hold the codes of exactly as many blocks as the frame
//! has, restart markers must come in order, and the end-of-image marker must follow. A progressive file must send every coefficient
//! to its last bit. A DC coefficient beyond the range of pixels is damage as well, as differences add up. A file that passes has all
//! its pixels; bytes that were exchanged for others which mean as many blocks cannot be seen. What follows the end-of-image marker is
//! not looked at, as phones store previews there.

mod entropy;

use super::bounds::check_pixels;
use entropy::{BLOCK, Bits, Pass, Table, block};

/// More scans than any encoder writes; each costs a walk over the whole image.
const MAX_SCANS: usize = 256;
/// Largest DC coefficient, 8 times the largest distance of a pixel from the middle grey, with room for encoders that overshoot.
const MAX_DC: i32 = 1024 + 256;

/// What a walk over the file found besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inspected {
    /// Whether there is an EXIF segment, which may name an orientation.
    pub(super) has_exif: bool,
}

/// Walks `bytes`, which begin as a JPEG.
///
/// # Errors
/// A reason in words: the data end early, go on too long, or contradict the header, or the image has more than `max_pixels` pixels.
pub(super) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, String> {
    let mut walk = Walk {
        bytes,
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        steps: [1; 4],
        frame: None,
        restart_interval: 0,
        has_exif: false,
        scans: 0,
        max_pixels,
    };
    walk.run()?;
    Ok(Inspected {
        has_exif: walk.has_exif,
    })
}

struct Walk<'a> {
    bytes: &'a [u8],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// Quantisation step of the DC coefficient, by table.
    steps: [i32; 4],
    frame: Option<Frame>,
    /// Minimum coded units between restart markers, 0 for none.
    restart_interval: usize,
    has_exif: bool,
    scans: usize,
    max_pixels: u64,
}

struct Frame {
    is_progressive: bool,
    components: Vec<Component>,
    /// Columns and rows of minimum coded units.
    units: (usize, usize),
}

struct Component {
    id: u8,
    /// Blocks of a minimum coded unit: columns and rows.
    sampling: (usize, usize),
    /// Columns and rows of blocks that the image covers.
    blocks: (usize, usize),
    /// Columns of blocks with those that fill up the last minimum coded unit.
    stride: usize,
    /// Its quantisation table.
    quantiser: usize,
    /// The DC coefficient of the last block, in steps.
    dc: i32,
    /// Of each block the coefficients that are not zero; empty in a baseline frame.
    masks: Vec<u64>,
    /// Low bits of each coefficient that are still to come, `None` before its first scan.
    missing_bits: [Option<u8>; BLOCK as usize],
}

/// The component of a scan and its tables.
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

impl<'a> Walk<'a> {
    fn run(&mut self) -> Result<(), String> {
        let mut next = self.marker(2)?;
        loop {
            let (code, position) = next;
            if code == 0xD9 {
                return self.require_complete();
            }
            if matches!(code, 0x01 | 0xD0..=0xD8) {
                next = self.marker(position)?;
                continue;
            }
            let (segment, end) = self.segment(position)?;
            match code {
                0xC4 => self.tables(segment)?,
                0xDB => self.quantisation(segment)?,
                0xC0..=0xC2 => self.frame = Some(self.start_of_frame(code, segment)?),
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => {
                    return Err("lossless, hierarchical or arithmetic JPEG is not read".to_owned());
                }
                0xDD => {
                    self.restart_interval =
                        number(segment, 0).ok_or("its restart interval is cut off")?;
                }
                0xE1 => self.has_exif |= segment.starts_with(b"Exif\0\0"),
                _ => {}
            }
            next = if code == 0xDA {
                self.scan(segment, end)?
            } else {
                self.marker(end)?
            };
        }
    }

    /// Code of the next marker at or after `position`, and the position behind it.
    fn marker(&self, position: usize) -> Result<(u8, usize), String> {
        let rest = self.bytes.get(position..).unwrap_or_default();
        let at = rest
            .windows(2)
            .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))
            .ok_or("the file ends before the end-of-image marker")?;
        Ok((rest[at + 1], position + at + 2))
    }

    /// The bytes of a segment behind its length, and the position behind it.
    fn segment(&self, position: usize) -> Result<(&'a [u8], usize), String> {
        let length = number(self.bytes, position).unwrap_or(0);
        let segment = self.bytes.get(position + 2..position + length);
        Ok((
            segment.ok_or("the file ends inside its header")?,
            position + length,
        ))
    }

    fn tables(&mut self, mut segment: &[u8]) -> Result<(), String> {
        let broken = "a Huffman table is damaged";
        while let [head, rest @ ..] = segment {
            let (counts, rest) = rest.split_at_checked(16).ok_or(broken)?;
            let length = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(length).ok_or(broken)?;
            let kind = if head >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            let place = kind.get_mut(usize::from(head & 15)).ok_or(broken)?;
            *place = Some(Table::new(counts, symbols).ok_or(broken)?);
            segment = rest;
        }
        Ok(())
    }

    fn quantisation(&mut self, mut segment: &[u8]) -> Result<(), String> {
        let broken = "a quantisation table is damaged";
        while let [head, rest @ ..] = segment {
            let is_wide = head >> 4 != 0;
            let length = if is_wide { 128 } else { 64 };
            let (values, rest) = rest.split_at_checked(length).ok_or(broken)?;
            let step = if is_wide {
                number(values, 0).ok_or(broken)? as i32
            } else {
                i32::from(values[0])
            };
            *self.steps.get_mut(usize::from(head & 15)).ok_or(broken)? = step;
            segment = rest;
        }
        Ok(())
    }

    fn start_of_frame(&self, code: u8, segment: &[u8]) -> Result<Frame, String> {
        let broken = "its frame header is damaged";
        let (height, width) = (number(segment, 1), number(segment, 3));
        let (height, width) = (height.ok_or(broken)?, width.ok_or(broken)?);
        if self.frame.is_some() || height == 0 || width == 0 {
            return Err(broken.to_owned());
        }
        check_pixels(width as u64, height as u64, self.max_pixels)?;
        let count = usize::from(*segment.get(5).ok_or(broken)?);
        let listed = segment.get(6..6 + 3 * count).ok_or(broken)?;
        let sampling = |entry: &[u8]| (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
        let entries = || listed.chunks_exact(3);
        let most = |of: fn((usize, usize)) -> usize| entries().map(sampling).map(of).max();
        let (across, down) = (most(|s| s.0).unwrap_or(0), most(|s| s.1).unwrap_or(0));
        let is_odd = |s: (usize, usize)| !(1..=4).contains(&s.0) || !(1..=4).contains(&s.1);
        if entries().map(sampling).any(is_odd) || !(1..=4).contains(&count) {
            return Err(broken.to_owned());
        }
        let units = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        let is_progressive = code == 0xC2;
        let component = |entry: &[u8]| {
            let (h, v) = sampling(entry);
            let masks = if is_progressive {
                units.0 * h * units.1 * v
            } else {
                0
            };
            Component {
                id: entry[0],
                sampling: (h, v),
                blocks: (
                    (width * h).div_ceil(across).div_ceil(8),
                    (height * v).div_ceil(down).div_ceil(8),
                ),
                stride: units.0 * h,
                quantiser: usize::from(entry[2] & 3),
                dc: 0,
                masks: vec![0; masks],
                missing_bits: [None; BLOCK as usize],
            }
        };
        Ok(Frame {
            is_progressive,
            components: entries().map(component).collect(),
            units,
        })
    }

    /// Walks one scan; returns the marker behind it.
    fn scan(&mut self, segment: &[u8], start: usize) -> Result<(u8, usize), String> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(format!("more than {MAX_SCANS} scans"));
        }
        let frame = self.frame.as_mut().ok_or("a scan comes before the frame")?;
        let (parts, band) = scan_header(segment, frame)?;
        let pass = frame.note(&parts, band)?;
        let mut bits = Bits::new(self.bytes, start);
        let (columns, rows) = match parts.as_slice() {
            [part] => frame.components[part.component].blocks,
            _ => frame.units,
        };
        let (mut run, mut restarts) = (0, 0_u8);
        frame.components.iter_mut().for_each(|c| c.dc = 0);
        for unit in 0..columns * rows {
            if self.restart_interval > 0 && unit > 0 && unit % self.restart_interval == 0 {
                let (code, position) = bits.marker()?;
                if code != 0xD0 + restarts % 8 {
                    return Err("a restart marker is missing".to_owned());
                }
                restarts = restarts.wrapping_add(1);
                run = 0;
                frame.components.iter_mut().for_each(|c| c.dc = 0);
                bits = Bits::new(self.bytes, position);
            }
            let (column, row) = (unit % columns, unit / columns);
            for part in &parts {
                let component = &mut frame.components[part.component];
                let tables = (self.dc[part.dc].as_ref(), self.ac[part.ac].as_ref());
                let (h, v) = if parts.len() == 1 {
                    (1, 1)
                } else {
                    component.sampling
                };
                for inner in 0..h * v {
                    let (x, y) = (column * h + inner % h, row * v + inner / h);
                    let mut unused = 0;
                    let mask = component.masks.get_mut(y * component.stride + x);
                    let mask = mask.unwrap_or(&mut unused);
                    let state = (&mut run, &mut component.dc);
                    block(pass, &mut bits, tables, state, mask)?;
                    let step = self.steps[component.quantiser] << band.3.min(13);
                    if component.dc.saturating_abs().saturating_mul(step) > MAX_DC + step {
                        return Err("its pixels are out of range".to_owned());
                    }
                }
            }
        }
        let (code, position) = bits.marker()?;
        if run > 0 || matches!(code, 0xD0..=0xD7) {
            return Err("its compressed data go on after the image is complete".to_owned());
        }
        Ok((code, position))
    }

    fn require_complete(&self) -> Result<(), String> {
        let frame = self.frame.as_ref().ok_or("it holds no image")?;
        let all =
            |component: &Component| component.missing_bits.iter().all(|&bits| bits == Some(0));
        if frame.components.iter().all(all) {
            Ok(())
        } else {
            Err("its last scans are missing".to_owned())
        }
    }
}

/// First and last coefficient, low bits that the scan before left out, low bits that this one leaves out.
type Band = (u8, u8, u8, u8);

fn scan_header(segment: &[u8], frame: &Frame) -> Result<(Vec<Part>, Band), String> {
    let broken = "a scan header is damaged";
    let count = usize::from(*segment.first().ok_or(broken)?);
    let entries = segment.get(1..1 + 2 * count).ok_or(broken)?;
    let part = |entry: &[u8]| {
        let component = frame.components.iter().position(|c| c.id == entry[0])?;
        let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
        (dc < 4 && ac < 4).then_some(Part { component, dc, ac })
    };
    let parts: Option<Vec<Part>> = entries.chunks_exact(2).map(part).collect();
    let parts = parts.filter(|parts| !parts.is_empty()).ok_or(broken)?;
    let [from, to, approximation] = segment.get(1 + 2 * count..).unwrap_or_default() else {
        return Err(broken.to_owned());
    };
    Ok((parts, (*from, *to, approximation >> 4, approximation & 15)))
}

impl Frame {
    /// Notes what a scan brings, and says how to read it.
    fn note(
        &mut self,
        parts: &[Part],
        (from, to, before, left): Band,
    ) -> Result<Pass, &'static str> {
        let (from, to, before, left) = if self.is_progressive {
            (from, to, before, left)
        } else {
            (0, BLOCK - 1, 0, 0)
        };
        let is_ac = from > 0;
        if to >= BLOCK || from > to || self.is_progressive && is_ac != (to > 0) {
            return Err("a scan header is damaged");
        }
        if is_ac && parts.len() > 1 {
            return Err("a scan header is damaged");
        }
        for part in parts {
            let bits = &mut self.components[part.component].missing_bits;
            for place in &mut bits[usize::from(from)..=usize::from(to)] {
                let expected = if before == 0 { None } else { Some(before) };
                if *place != expected {
                    return Err("its scans contradict each other");
                }
                *place = Some(left);
            }
        }
        Ok(match (self.is_progressive, is_ac, before) {
            (false, ..) => Pass::Baseline,
            (true, false, 0) => Pass::DcFirst,
            (true, false, _) => Pass::DcRefine,
            (true, true, 0) => Pass::AcFirst { from, to },
            (true, true, _) => Pass::AcRefine { from, to },
        })
    }
}

/// A 16-bit number, big endian.
fn number(bytes: &[u8], position: usize) -> Option<usize> {
    let bytes = bytes.get(position..position + 2)?;
    Some(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
}
