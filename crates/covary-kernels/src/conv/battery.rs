//! Every product on every instruction set of this processor against the reference, over odd shapes.
//!
//! Bound: a sum of k products in f32 is off by at most `γ_k Σ|a·b|` with `γ_k = k u / (1 - k u)`, u = 2^-24 (Higham 2002, §3.1);
//! operands are rounded to bf16 first where they are bf16, so that only the sum differs. Outputs stored as bf16 add half a unit of
//! their last place. Subnormal operands, which some instructions flush, do not occur. Products by tiles have a bound of their own, as
//! their operands are rounded after a transform: see [`super::winograd::battery`].

use half::bf16;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::backward::{Branch, backward};
use super::gradient::Back;
use super::layer::ConvLayer;
use super::reference::visit_products;
use super::winograd::battery::{Magnitudes, put_weight_magnitudes, tile_geometries};
use super::{ConvGeometry, Operand, winograd};
use crate::Isa;
use crate::buffer::Buffer;
use crate::element::{Element, padded};
use crate::frame::Affine;
use crate::passes::Relu;
use crate::relu_gradient::{Below, ReluGradient, ThroughRelu};

#[derive(Debug, Clone)]
struct Case {
    geometry: ConvGeometry,
    images: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let channels = || {
        prop_oneof![
            1_usize..6,
            Just(8),
            Just(16),
            Just(17),
            Just(32),
            Just(33),
            Just(48),
            Just(64),
            Just(80)
        ]
    };
    // A map of one column has rows of taps that lie behind each other without a gap.
    let sizes = (
        prop_oneof![1 => Just(1), 4 => 1_usize..12],
        prop_oneof![1 => Just(1), 4 => 1_usize..19],
        channels(),
        channels(),
        prop_oneof![Just(1_usize), Just(3)],
        1_usize..3,
    );
    let walked = sizes.prop_map(
        |(height, width, c_in, c_out, kernel, stride)| ConvGeometry {
            height,
            width,
            c_in,
            c_out,
            kernel,
            stride,
        },
    );
    let geometries = prop_oneof![2 => walked, 1 => tile_geometries()];
    (geometries, 1_usize..6, any::<u64>()).prop_map(|(geometry, images, seed)| Case {
        geometry,
        images,
        seed,
    })
}

pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32
    };
    (0..len)
        .map(|_| {
            if next() < 0.1 {
                0.0
            } else {
                2.0 * next() - 1.0
            }
        })
        .collect()
}

pub(crate) fn rounded<T: Element>(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| T::round(*v).widen()).collect()
}

/// `[pixels, channels]` with padding channels appended, in storage.
fn pad<T: Element>(values: &[f32], channels: usize) -> Vec<T> {
    let mut out = vec![T::default(); values.len() / channels * padded(channels)];
    for (out, values) in out
        .chunks_exact_mut(padded(channels))
        .zip(values.chunks_exact(channels))
    {
        out.iter_mut()
            .zip(values)
            .for_each(|(o, v)| *o = T::round(*v));
    }
    out
}

fn unpad<T: Element>(values: &[T], channels: usize) -> Vec<f32> {
    values
        .chunks_exact(padded(channels))
        .flat_map(|pixel| pixel[..channels].iter().map(|v| v.widen()))
        .collect()
}

/// Sums and sums of absolute values of the three products.
struct Expected {
    y: Vec<(f64, f64)>,
    dx: Vec<(f64, f64)>,
    dw: Vec<(f64, f64)>,
}

fn expected(case: &Case, x: &[f32], w: &[f32], dy: &[f32]) -> Expected {
    let zero = |len| vec![(0.0, 0.0); len];
    let mut e = Expected {
        y: zero(dy.len()),
        dx: zero(x.len()),
        dw: zero(w.len()),
    };
    let add = |sum: &mut (f64, f64), a: f32, b: f32| {
        let product = f64::from(a) * f64::from(b);
        sum.0 += product;
        sum.1 += product.abs();
    };
    visit_products(&case.geometry, case.images, |xi, yi, wi| {
        add(&mut e.y[yi], x[xi], w[wi]);
        add(&mut e.dx[xi], dy[yi], w[wi]);
        add(&mut e.dw[wi], x[xi], dy[yi]);
    });
    e
}

pub(crate) fn check(
    what: &str,
    actual: &[f32],
    expected: &[(f64, f64)],
    terms: usize,
    operand: f64,
    storage: f64,
) -> Result<(), TestCaseError> {
    let unit = f64::from(f32::EPSILON) / 2.0;
    let gamma = (terms + 8) as f64 * unit / (1.0 - (terms + 8) as f64 * unit);
    for (i, (actual, (value, magnitude))) in actual.iter().zip(expected).enumerate() {
        let sum = (gamma + operand) * magnitude;
        let bound = sum + storage * (value.abs() + sum) + 1e-37;
        let off = (f64::from(*actual) - value).abs();
        prop_assert!(
            off <= bound,
            "{what}[{i}]: {actual} is off by {off:e} from {value}, more than {bound:e}"
        );
    }
    Ok(())
}

/// The worst case of many roundings to bf16 is as large as the numbers themselves; together they are off by far less.
fn is_near(what: &str, actual: &[f32], expected: &[(f64, f64)]) -> Result<(), TestCaseError> {
    let pairs = actual.iter().zip(expected);
    let off: f64 = pairs.map(|(a, e)| (f64::from(*a) - e.0).powi(2)).sum();
    let all: f64 = expected.iter().map(|e| e.0.powi(2)).sum();
    let share = (off / all.max(1e-37)).sqrt();
    prop_assert!(share < 0.02, "{what} is off by {share} of its length");
    Ok(())
}

/// An input gradient through a ReLU that leaves it as it is.
fn whole<'a, T: Element>(
    geometry: &ConvGeometry,
    x: &'a [T],
    vectors: &'a (Vec<f32>, Vec<f32>),
    into: &'a mut ReluGradient<T>,
) -> ThroughRelu<'a, T> {
    let (zeros, ones) = vectors;
    let relu = Relu::Of(Affine {
        scale: zeros,
        shift: ones,
    });
    let below = Below { y: x, mean: zeros };
    into.through(None, relu, below, geometry.in_pixels())
}

fn products<T: Element, O: Operand>(
    isa: Isa,
    case: &Case,
    storage: f64,
) -> Result<(), TestCaseError> {
    let Case {
        geometry,
        images,
        seed,
    } = case;
    let x = rounded::<T>(&numbers(
        *seed,
        images * geometry.in_pixels() * geometry.c_in,
    ));
    let w = rounded::<T>(&numbers(seed ^ 0x9e37, geometry.weight_len()));
    let dy = rounded::<T>(&numbers(
        seed ^ 0x79b9,
        images * geometry.out_pixels() * geometry.c_out,
    ));
    let mut e = expected(case, &x, &w, &dy);
    let [mut by_weights, mut of_weights] = [0.0; 2];
    if winograd::fits_products::<O>(geometry) {
        by_weights = Magnitudes::operand(O::BF16);
        Magnitudes::forward(geometry, &w).put(&x, &mut e.y);
        Magnitudes::input_gradient(geometry, &w).put(&dy, &mut e.dx);
    }
    if winograd::fits_weights(geometry) {
        of_weights = Magnitudes::operand(O::BF16);
        put_weight_magnitudes(geometry, &x, &dy, &mut e.dw);
    }
    let mut conv = ConvLayer::<T, O>::new(*geometry);
    conv.pack(isa, &w, true);

    let x_stored = pad::<T>(&x, geometry.c_in);
    let mut y = vec![T::default(); images * conv.out_map().len()];
    let mut moments = vec![0.0; images * 2 * padded(geometry.c_out)];
    conv.forward(isa, &x_stored, None, &mut y, &mut [], &mut moments);
    check(
        "y",
        &unpad(&y, geometry.c_out),
        &e.y,
        geometry.taps() * geometry.c_in,
        by_weights,
        storage,
    )?;

    let channels = padded(geometry.c_out);
    let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
    let back = Back {
        mean: &zeros,
        factor: &ones,
        offset: &zeros,
        slope: &zeros,
    };
    let dy_stored = pad::<T>(&dy, geometry.c_out);
    // What an earlier layer left in the buffer must not come through.
    let (mut sums, mut dx) = (Buffer::default(), ReluGradient::default());
    sums.room(1 << 17).fill(f32::NAN);
    let width = padded(geometry.c_in);
    let vectors = (vec![0.0; width], vec![1.0; width]);
    let branch = Branch {
        layer: &conv,
        gradient: &dy_stored,
        y: &y,
        winners: &[],
        back,
        sums: &mut sums,
    };
    backward(
        isa,
        &x_stored,
        None,
        &mut [branch],
        Some(whole(geometry, &x_stored, &vectors, &mut dx)),
    );
    let mut dw = vec![0.0; w.len()];
    conv.add_weight_gradient(&mut sums, &mut dw);
    check(
        "dx",
        &unpad(dx.values(), geometry.c_in),
        &e.dx,
        geometry.taps() * geometry.c_out,
        by_weights,
        storage,
    )?;
    let pixels = images * geometry.out_pixels();
    check("dw", &dw, &e.dw, pixels, of_weights, 0.0)?;
    is_near("y", &unpad(&y, geometry.c_out), &e.y)?;
    is_near("dx", &unpad(dx.values(), geometry.c_in), &e.dx)?;
    is_near("dw", &dw, &e.dw)
}

#[test]
fn products_agree_with_the_reference_on_every_instruction_set() {
    let half_unit_bf16 = 2.0_f64.powi(-8);
    let names: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
    println!("instruction sets tested: {}", names.join(", "));
    for isa in Isa::available() {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let config = ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
            products::<f32, f32>(isa, &case, 0.0)?;
            if isa == Isa::Avx512Bf16 {
                products::<bf16, bf16>(isa, &case, half_unit_bf16)
            } else {
                products::<bf16, f32>(isa, &case, half_unit_bf16)
            }
        });
        if let Err(error) = outcome {
            panic!("{}: {error}", isa.name());
        }
    }
}

/// A square map, walked where its side is odd and taken by tiles where it is even.
fn square(side: usize, channels: usize) -> ConvGeometry {
    ConvGeometry {
        height: side,
        width: side,
        c_in: channels,
        c_out: channels,
        kernel: 3,
        stride: 1,
    }
}

#[test]
fn weight_gradients_of_many_groups_of_images_add_up() {
    for side in [2, 3] {
        let geometry = square(side, 16);
        let layer = ConvLayer::<f32, f32>::new(geometry);
        let case = Case {
            geometry,
            images: 1100,
            seed: 11,
        };
        assert!(
            layer.chunk(case.images) > layer.backward_group(),
            "a chunk of the batch has several groups"
        );
        for isa in Isa::available() {
            products::<f32, f32>(isa, &case, 0.0).unwrap();
        }
    }
}

#[test]
fn thread_counts_do_not_change_a_bit() {
    let strided = ConvGeometry {
        height: 9,
        width: 7,
        c_in: 20,
        c_out: 37,
        kernel: 3,
        stride: 2,
    };
    for geometry in [strided, square(7, 20), square(8, 20)] {
        same_bits(&Case {
            geometry,
            images: 37,
            seed: 3,
        });
    }
}

fn same_bits(case: &Case) {
    let geometry = case.geometry;
    let isa = *Isa::available()
        .last()
        .expect("portable is always available");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let x = pad::<bf16>(
                &numbers(1, case.images * geometry.in_pixels() * geometry.c_in),
                geometry.c_in,
            );
            let dy = pad::<bf16>(
                &numbers(2, case.images * geometry.out_pixels() * geometry.c_out),
                geometry.c_out,
            );
            let mut conv = ConvLayer::<bf16, f32>::new(geometry);
            conv.pack(isa, &numbers(3, geometry.weight_len()), true);
            let mut y = vec![bf16::ZERO; dy.len()];
            let mut moments = vec![0.0; case.images * 2 * padded(geometry.c_out)];
            conv.forward(isa, &x, None, &mut y, &mut [], &mut moments);
            let channels = padded(geometry.c_out);
            let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
            let back = Back {
                mean: &zeros,
                factor: &ones,
                offset: &zeros,
                slope: &zeros,
            };
            let (mut sums, mut dx) = (Buffer::default(), ReluGradient::default());
            let width = padded(geometry.c_in);
            let vectors = (vec![0.0; width], vec![1.0; width]);
            let branch = Branch {
                layer: &conv,
                gradient: &dy,
                y: &y,
                winners: &[],
                back,
                sums: &mut sums,
            };
            backward(
                isa,
                &x,
                None,
                &mut [branch],
                Some(whole(&geometry, &x, &vectors, &mut dx)),
            );
            let mut dw = vec![0.0; geometry.weight_len()];
            conv.add_weight_gradient(&mut sums, &mut dw);
            (y, moments, dx.values().to_vec(), dx.sums().to_vec(), dw)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}
