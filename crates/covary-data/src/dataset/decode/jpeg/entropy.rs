//! Huffman codes and bits of a JPEG scan (ITU-T T.81, annexes C, F and G), read to count blocks, not to compute pixels.
//!
//! A block of a baseline scan is a DC symbol, whose value is the number of bits that follow, and AC symbols `(run, size)`.
//! A progressive scan sends a band `from..=to` of coefficients at one precision. A refinement sends one bit for each
//! coefficient that is not zero already, so each block keeps a mask of those coefficients, in zigzag order.

/// Coefficients of a block.
pub(super) const BLOCK: u8 = 64;

pub(super) const ENDED: &str = "its compressed data end before the image is complete";
const BAD_CODE: &str = "its compressed data hold a code that no table has";
const BEYOND: &str = "its compressed data hold more coefficients than a block has";

/// A Huffman table: canonical codes of 1 to 16 bits.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Length and symbol of the code that begins with these eight bits, length 0 where it is longer.
    short: [(u8, u8); 256],
    /// One more than the largest code of each length, aligned to 16 bits.
    ends: [u32; 17],
    /// What to add to a code of each length to find its symbol.
    shifts: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// The table with `counts[n]` codes of n + 1 bits; `None` if the codes do not fit.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            short: [(0, 0); 256],
            ends: [0; 17],
            shifts: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut first) = (0_u32, 0_usize);
        for (length, &count) in (1_u8..).zip(counts) {
            table.shifts[usize::from(length)] = first as i32 - code as i32;
            for symbol in symbols.get(first..first + usize::from(count))? {
                if code >> length != 0 {
                    return None;
                }
                if length <= 8 {
                    let start = (code << (8 - length)) as usize;
                    table.short[start..start + (1 << (8 - length))].fill((length, *symbol));
                }
                code += 1;
            }
            table.ends[usize::from(length)] = code << (16 - length);
            first += usize::from(count);
            code <<= 1;
        }
        Some(table)
    }
}

/// The bits between two markers, without the zero bytes that are stuffed behind 0xFF.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], position: usize) -> Self {
        Self {
            data,
            position,
            buffer: 0,
            count: 0,
        }
    }

    /// Reads on until at least 57 bits are there, or a marker or the end of the file comes next.
    fn refill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.position) else {
                return;
            };
            if byte == 0xFF {
                if self.data.get(self.position + 1) != Some(&0) {
                    return;
                }
                self.position += 1;
            }
            self.position += 1;
            self.buffer = (self.buffer << 8) | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next `count` bits, at most 16.
    pub(super) fn take(&mut self, count: u8) -> Result<u32, &'static str> {
        let count = u32::from(count);
        if self.count < count {
            self.refill();
        }
        if self.count < count {
            return Err(ENDED);
        }
        self.count -= count;
        Ok((self.buffer >> self.count) as u32 & ((1 << count) - 1))
    }

    fn symbol(&mut self, table: &Table) -> Result<u8, &'static str> {
        if self.count < 16 {
            self.refill();
        }
        let next = if self.count >= 16 {
            (self.buffer >> (self.count - 16)) as u32 & 0xFFFF
        } else {
            ((self.buffer << (16 - self.count)) & 0xFFFF) as u32
        };
        let (mut length, mut symbol) = table.short[next as usize >> 8];
        if length == 0 {
            length = (9..=16)
                .find(|&length| next < table.ends[usize::from(length)])
                .ok_or(BAD_CODE)?;
            let index = (next >> (16 - length)) as i32 + table.shifts[usize::from(length)];
            symbol = *usize::try_from(index)
                .ok()
                .and_then(|index| table.symbols.get(index))
                .ok_or(BAD_CODE)?;
        }
        if u32::from(length) > self.count {
            return Err(ENDED);
        }
        self.count -= u32::from(length);
        Ok(symbol)
    }

    /// Ends an interval: fewer than eight bits may be left before the next marker. Returns the marker's code and the position behind it.
    pub(super) fn marker(&mut self) -> Result<(u8, usize), &'static str> {
        self.refill();
        if self.count >= 8 {
            return Err("its compressed data go on after the image is complete");
        }
        let mut position = self.position;
        while self.data.get(position) == Some(&0xFF) {
            position += 1;
        }
        match self.data.get(position) {
            Some(&code) if position > self.position => Ok((code, position + 1)),
            _ => Err("the file ends before the end-of-image marker"),
        }
    }
}

/// What a scan sends of each block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pass {
    /// All coefficients.
    Baseline,
    /// The DC coefficient, less its low bits.
    DcFirst,
    /// One more bit of it.
    DcRefine,
    /// A band of AC coefficients, less their low bits.
    AcFirst { from: u8, to: u8 },
    /// One more bit of them.
    AcRefine { from: u8, to: u8 },
}

/// Reads one block. `run` is the number of blocks to come that have no further coefficients, `dc` the sum of the differences so far,
/// `mask` the block's coefficients that are not zero.
pub(super) fn block(
    pass: Pass,
    bits: &mut Bits<'_>,
    tables: (Option<&Table>, Option<&Table>),
    (run, dc_sum): (&mut u32, &mut i32),
    mask: &mut u64,
) -> Result<(), &'static str> {
    const NO_TABLE: &str = "a Huffman table is missing";
    let (dc, ac) = tables;
    match pass {
        Pass::Baseline => {
            difference(bits, dc.ok_or(NO_TABLE)?, dc_sum)?;
            first(bits, ac.ok_or(NO_TABLE)?, (1, BLOCK - 1), run, mask)?;
            // a run over several blocks is a code of progressive files alone
            if *run > 0 { Err(BAD_CODE) } else { Ok(()) }
        }
        Pass::DcFirst => difference(bits, dc.ok_or(NO_TABLE)?, dc_sum),
        Pass::DcRefine => bits.take(1).map(drop),
        Pass::AcFirst { from, to } => first(bits, ac.ok_or(NO_TABLE)?, (from, to), run, mask),
        Pass::AcRefine { from, to } => refine(bits, ac.ok_or(NO_TABLE)?, (from, to), run, mask),
    }
}

fn difference(bits: &mut Bits<'_>, table: &Table, sum: &mut i32) -> Result<(), &'static str> {
    let size = bits.symbol(table)?;
    if size > 15 {
        return Err(BAD_CODE);
    }
    let value = bits.take(size)? as i32;
    let is_negative = size > 0 && value >> (size - 1) == 0;
    let value = if is_negative {
        value + 1 - (1 << size)
    } else {
        value
    };
    *sum = sum.saturating_add(value);
    Ok(())
}

fn first(
    bits: &mut Bits<'_>,
    table: &Table,
    (from, to): (u8, u8),
    run: &mut u32,
    mask: &mut u64,
) -> Result<(), &'static str> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = from;
    while k <= to {
        let symbol = bits.symbol(table)?;
        let (zeros, size) = (symbol >> 4, symbol & 15);
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) - 1 + bits.take(zeros)?;
            return Ok(());
        }
        k += zeros;
        if size > 0 {
            if k > to {
                return Err(BEYOND);
            }
            bits.take(size)?;
            *mask |= 1 << k;
        }
        k += 1;
    }
    Ok(())
}

fn refine(
    bits: &mut Bits<'_>,
    table: &Table,
    (from, to): (u8, u8),
    run: &mut u32,
    mask: &mut u64,
) -> Result<(), &'static str> {
    let mut k = from;
    while *run == 0 && k <= to {
        let symbol = bits.symbol(table)?;
        let (mut zeros, size) = (symbol >> 4, symbol & 15);
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) + bits.take(zeros)?;
            break;
        }
        if size > 0 {
            bits.take(1)?;
        }
        while k <= to {
            if *mask >> k & 1 == 1 {
                bits.take(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        if size > 0 {
            if k > to {
                return Err(BEYOND);
            }
            *mask |= 1 << k;
        }
        k += 1;
    }
    if *run > 0 {
        for k in k..=to {
            if *mask >> k & 1 == 1 {
                bits.take(1)?;
            }
        }
        *run -= 1;
    }
    Ok(())
}
