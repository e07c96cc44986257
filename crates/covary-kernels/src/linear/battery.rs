//! Every product in either precision on every instruction set of this processor against sums in f64, over odd shapes. Bound as for
//! convolutions; operands are rounded to bf16 first where they are bf16, so that only the sum differs.

use half::bf16;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::{Linear, LinearScratch};
use crate::conv::battery::{check, numbers, rounded};
use crate::{Isa, Precision};

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    seed: u64,
}

/// Operands of a case.
struct Operands {
    x: Vec<f32>,
    weight: Vec<f32>,
    dy: Vec<f32>,
    dw: Vec<f32>,
}

impl Operands {
    /// y, dx, and dW added to what was there.
    fn products(&self, layer: &mut Linear) -> [Vec<f32>; 3] {
        let Self { x, weight, dy, dw } = self;
        // Outputs hold what must be replaced.
        let (mut y, mut dx, mut dw) = (
            vec![f32::NAN; dy.len()],
            vec![f32::NAN; x.len()],
            dw.clone(),
        );
        let scratch = &mut LinearScratch::default();
        layer.forward(x, weight, &mut y, scratch);
        layer.weight_gradient(x, dy, &mut dw, scratch);
        layer.input_gradient(dy, weight, &mut dx, scratch);
        [y, dx, dw]
    }
}

impl Case {
    fn operands(&self, precision: Precision) -> Operands {
        let make = |salt: u64, len: usize| {
            let values = numbers(self.seed ^ salt, len);
            match precision {
                Precision::F32 => values,
                Precision::Bf16 => rounded::<bf16>(&values),
            }
        };
        Operands {
            x: make(0, self.rows * self.inputs),
            weight: make(0x9e37, self.outputs * self.inputs),
            dy: make(0x79b9, self.rows * self.outputs),
            dw: numbers(self.seed ^ 0x517c, self.outputs * self.inputs),
        }
    }

    /// Sums and sums of absolute values of the products.
    fn expected(&self, operands: &Operands) -> [Vec<(f64, f64)>; 3] {
        let Operands { x, weight, dy, dw } = operands;
        let start = dw
            .iter()
            .map(|dw| (f64::from(*dw), f64::from(dw.abs())))
            .collect();
        let [mut y, mut dx, mut dw] =
            [vec![(0.0, 0.0); dy.len()], vec![(0.0, 0.0); x.len()], start];
        let add = |sum: &mut (f64, f64), a: f32, b: f32| {
            let product = f64::from(a) * f64::from(b);
            sum.0 += product;
            sum.1 += product.abs();
        };
        for row in 0..self.rows {
            for output in 0..self.outputs {
                for input in 0..self.inputs {
                    let (xi, yi, wi) = (
                        row * self.inputs + input,
                        row * self.outputs + output,
                        output * self.inputs + input,
                    );
                    add(&mut y[yi], x[xi], weight[wi]);
                    add(&mut dx[xi], dy[yi], weight[wi]);
                    add(&mut dw[wi], x[xi], dy[yi]);
                }
            }
        }
        [y, dx, dw]
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![4 => 1_usize..20, 1 => Just(64_usize), 1 => Just(65), 1 => Just(97), 1 => Just(193)];
    (size(), size(), size(), any::<u64>()).prop_map(|(rows, inputs, outputs, seed)| Case {
        rows,
        inputs,
        outputs,
        seed,
    })
}

#[test]
fn products_agree_with_f64_sums_on_every_instruction_set() {
    for precision in [Precision::F32, Precision::Bf16] {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let config = ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
            let operands = case.operands(precision);
            let expected = case.expected(&operands);
            for isa in Isa::available() {
                let mut layer = Linear::new(case.inputs, case.outputs, isa, precision);
                let actual = operands.products(&mut layer);
                let terms = [case.inputs, case.outputs, case.rows + 1];
                for (((what, actual), expected), terms) in ["y", "dx", "dw"]
                    .into_iter()
                    .zip(&actual)
                    .zip(&expected)
                    .zip(terms)
                {
                    check(
                        &format!("{}: {what}", isa.name()),
                        actual,
                        expected,
                        terms,
                        0.0,
                        0.0,
                    )?;
                }
            }
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{precision:?}: {error}");
        }
    }
}

#[test]
fn operands_are_rounded_to_bf16_on_every_instruction_set() {
    let case = Case {
        rows: 33,
        inputs: 70,
        outputs: 41,
        seed: 5,
    };
    let (exact, rounded) = (
        case.operands(Precision::F32),
        case.operands(Precision::Bf16),
    );
    for isa in Isa::available() {
        let layer = || Linear::new(case.inputs, case.outputs, isa, Precision::Bf16);
        assert_eq!(
            exact.products(&mut layer()),
            rounded.products(&mut layer()),
            "{}",
            isa.name()
        );
    }
}

#[test]
fn changed_weights_count_once_the_layer_is_told() {
    let case = Case {
        rows: 9,
        inputs: 35,
        outputs: 70,
        seed: 1,
    };
    for isa in Isa::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let new = || Linear::new(case.inputs, case.outputs, isa, precision);
            let mut operands = case.operands(precision);
            let mut layer = new();
            operands.products(&mut layer);
            operands
                .weight
                .iter_mut()
                .for_each(|weight| *weight = 1.0 - *weight);
            layer.invalidate();
            assert_eq!(
                operands.products(&mut layer),
                operands.products(&mut new()),
                "{} {precision:?}",
                isa.name()
            );
        }
    }
}

#[test]
fn thread_counts_do_not_change_a_bit() {
    let case = Case {
        rows: 131,
        inputs: 517,
        outputs: 389,
        seed: 3,
    };
    for isa in Isa::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let operands = case.operands(Precision::F32);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| {
                    operands.products(&mut Linear::new(case.inputs, case.outputs, isa, precision))
                })
            };
            let one = run(1);
            assert!(
                one == run(2) && one == run(3),
                "{} {precision:?}",
                isa.name()
            );
        }
    }
}
