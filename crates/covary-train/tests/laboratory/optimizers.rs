//! Optimizers, their groups of tensors and the norm of gradients, against `golden/make_muon.py` and closed forms.

use covary_kernels::{Isa, NewtonSchulz, Precision, orthogonalize};
use covary_nn::{EngineConfig, MlpConfig, Network, Norm};
use covary_train::config::TrainConfig;
use covary_train::optim::{Optimizer, OptimizerConfig};

use crate::contracts::numbers;
use crate::golden::Golden;

fn isa() -> Isa {
    Isa::choose(None).unwrap()
}

fn head(sizes: &[usize], hidden_norm: Norm) -> Network {
    let config = MlpConfig {
        sizes: sizes.into(),
        hidden_norm,
        output_norm: Norm::None,
        output_bias: true,
    };
    let engine = EngineConfig::Kernels {
        isa: isa(),
        precision: Precision::F32,
    };
    let mut network = Network::mlp(&config, &engine).unwrap();
    network.initialise(3, "projector");
    network
}

fn config(text: &str) -> OptimizerConfig {
    let text = format!("[optimizer]\n{text}");
    TrainConfig::parse("test", &text).unwrap().optimizer
}

/// Takes a step with these gradients; gives the displacement of each parameter.
fn displacement(config: &OptimizerConfig, network: &mut Network, gradients: &[f32]) -> Vec<f64> {
    let layout = network.layout().clone();
    let mut optimizer = Optimizer::new(config, isa(), &[("projector", &layout)]).unwrap();
    let before = network.parameters().to_vec();
    network
        .parameters_and_gradients_mut()
        .1
        .copy_from_slice(gradients);
    optimizer.step(config.lr, 1, &mut [("projector", network)]);
    assert!(network.gradients().iter().all(|g| *g == 0.0));
    let moved = network.parameters().iter().zip(&before);
    moved
        .map(|(after, before)| f64::from(*after) - f64::from(*before))
        .collect()
}

#[test]
fn newton_and_schulz_s_iteration_is_the_published_one() {
    let golden = Golden::open("muon");
    for case in ["wide", "square", "tall", "flat", "near_low_rank"] {
        let mut x = golden.f32(&format!("{case}.g"));
        let rows = golden.shape(&format!("{case}.g"))[0];
        let expected = golden.f64(&format!("{case}.orthogonal"));
        let mut found = vec![0.0; x.len()];
        orthogonalize(NewtonSchulz::default(), &mut x, rows, &mut found);
        // Small singular values are the roots of what f32 keeps of their squares; the bound there is the rounding of bf16, which the
        // reference iterates in.
        let bound = if case == "near_low_rank" {
            2.0_f64.powi(-8)
        } else {
            1e-4
        };
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let apart = found.iter().zip(&expected);
        let apart = squares(&mut apart.map(|(found, expected)| f64::from(*found) - expected));
        let off = (apart / squares(&mut expected.iter().copied())).sqrt();
        assert!(off < bound, "{case}: {off}");
    }
}

#[test]
fn muon_takes_the_published_steps_on_kernels_and_tall_matrices() {
    let golden = Golden::open("muon");
    let config = config("name = \"muon\"\nlr = 0.02\nweight_decay = 0.1");
    for (case, sizes) in [("conv", [8, 3]), ("tall", [4, 9])] {
        let mut network = head(&sizes, Norm::None);
        let layout = network.layout().clone();
        let weight = layout.find("0.weight").unwrap().range();
        let mut optimizer = Optimizer::new(&config, isa(), &[("projector", &layout)]).unwrap();
        network.parameters_mut()[weight.clone()]
            .copy_from_slice(&golden.f32(&format!("steps.{case}.p")));
        for step in 0..4 {
            network.parameters_and_gradients_mut().1[weight.clone()]
                .copy_from_slice(&golden.f32(&format!("steps.{case}.g{step}")));
            optimizer.step(0.02, step + 1, &mut [("projector", &mut network)]);
            let expected = golden.f64(&format!("steps.{case}.p{step}"));
            for (found, expected) in network.parameters()[weight.clone()].iter().zip(expected) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off < 1e-5, "{case}, step {step}: {found} and {expected}");
            }
        }
    }
}

#[test]
fn muon_leaves_biases_norms_and_groups_without_it_to_adamw() {
    let gradients = |network: &Network| numbers(4, network.layout().len());
    let sizes = [6, 5, 4];
    let mut network = head(&sizes, Norm::Batch);
    let g = gradients(&network);
    let muon = displacement(
        &config(
            "name = \"muon\"\nlr = 0.02\nmuon.rest_lr = 3e-3\n\
             groups = [{ match = \"projector.3.weight\", muon = false }]",
        ),
        &mut network,
        &g,
    );
    let mut network = head(&sizes, Norm::Batch);
    let adamw = displacement(&config("name = \"adamw\"\nlr = 3e-3"), &mut network, &g);
    for entry in network.layout().entries() {
        let same = muon[entry.range()] == adamw[entry.range()];
        assert_eq!(same, entry.name != "0.weight", "{}", entry.name);
    }
    // An orthogonal update of [5, 6] has a norm near √5 times the learning rate.
    let first = network.layout().find("0.weight").unwrap().range();
    let norm = muon[first].iter().map(|d| d * d).sum::<f64>().sqrt();
    assert!(
        (0.6..1.3).contains(&(norm / (0.02 * 5.0_f64.sqrt()))),
        "{norm}"
    );
}

#[test]
fn moonlight_s_scale_and_airbench_s_norm_are_as_published() {
    let of = |rest: &str| {
        let mut network = head(&[6, 24], Norm::None);
        let g = numbers(4, network.layout().len());
        let text = format!("name = \"muon\"\nweight_decay = 0.0\n{rest}");
        let moved = displacement(&config(&text), &mut network, &g);
        let weight = network.layout().find("0.weight").unwrap().range();
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let after = network.parameters()[weight.clone()].iter();
        (
            norm(&mut moved[weight].iter().copied()).sqrt(),
            norm(&mut after.map(|p| f64::from(*p))).sqrt(),
        )
    };
    let (plain, _) = of("lr = 0.02\nmuon.scale = \"none\"");
    let (jordan, _) = of("lr = 0.02");
    let (moonlight, _) = of("lr = 0.02\nmuon.scale = \"moonlight\"");
    assert!((jordan / plain - 2.0).abs() < 1e-4, "{jordan} {plain}");
    let expected = 0.2 * 24.0_f64.sqrt();
    assert!((moonlight / plain - expected).abs() < 1e-4);
    let (_, norm) = of("lr = 1e-9\nmuon.scale = \"none\"\nmuon.normalize = true");
    assert!((norm - 24.0_f64.sqrt()).abs() < 1e-4, "{norm}");
}

#[test]
fn groups_have_factors_and_decays_of_their_own() {
    let sizes = [6, 5, 4];
    let of = |groups: &str| {
        let mut network = head(&sizes, Norm::Batch);
        let g = numbers(4, network.layout().len());
        let text = format!("name = \"sgd\"\nlr = 0.1\nweight_decay = 0.5\ngroups = [{groups}]");
        (displacement(&config(&text), &mut network, &g), network)
    };
    let (plain, network) = of("");
    let (moved, _) = of(
        "{ match = \"norm-biases\", lr = 64.0, weight_decay = 0.0 }, \
                         { match = \"projector.*.weight\", lr = 3.0 }, { match = \"norm-weights\", lr = 2.0 }",
    );
    for entry in network.layout().entries() {
        let factor = match entry.name.as_str() {
            "0.weight" | "3.weight" => 3.0,
            "1.weight" => 2.0,
            // β starts at zero and has no decay to lose.
            "1.bias" => 64.0,
            _ => 1.0,
        };
        for (moved, plain) in moved[entry.range()].iter().zip(&plain[entry.range()]) {
            assert!((moved - factor * plain).abs() < 1e-5, "{}", entry.name);
        }
    }
    let (kept, network) = of("{ match = \"weights\", weight_decay = 0.0 }");
    let g = numbers(4, network.layout().len());
    for at in network.layout().find("3.weight").unwrap().range() {
        assert!((kept[at] + 0.1 * f64::from(g[at])).abs() < 1e-6);
        assert!((plain[at] - kept[at]).abs() > 0.0);
    }
}

#[test]
fn a_group_without_a_tensor_is_an_error_that_knows_the_names() {
    let network = head(&[6, 5, 4], Norm::Batch);
    let config = config("groups = [{ match = \"weights\" }, { match = \"projector.0.weigth\" }]");
    let error = Optimizer::new(&config, isa(), &[("projector", network.layout())]).unwrap_err();
    assert_eq!(error.key(), "groups[1].match");
    let told = error.to_string();
    for word in [
        "did you mean \"projector.0.weight\"",
        "norm-biases",
        "projector.3.bias",
    ] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn gradients_are_clipped_at_their_norm_over_all_networks() {
    let config = config("name = \"sgd\"\nlr = 1.0\nweight_decay = 0.0\nclip = 0.5");
    let mut networks = [head(&[6, 5], Norm::None), head(&[5, 4], Norm::None)];
    let layouts = networks.each_ref().map(|network| network.layout().clone());
    let names = [("encoder", &layouts[0]), ("projector", &layouts[1])];
    let mut optimizer = Optimizer::new(&config, isa(), &names).unwrap();
    let before = networks.each_ref().map(|n| n.parameters().to_vec());
    for (network, seed) in networks.iter_mut().zip([1, 2]) {
        let len = network.layout().len();
        let gradients = network.parameters_and_gradients_mut().1;
        gradients.copy_from_slice(&numbers(seed, len));
    }
    let [a, b] = &mut networks;
    optimizer.step(1.0, 1, &mut [("encoder", a), ("projector", b)]);
    let squares: f64 = networks
        .iter()
        .zip(&before)
        .flat_map(|(network, before)| network.parameters().iter().zip(before))
        .map(|(after, before)| (f64::from(*after) - f64::from(*before)).powi(2))
        .sum();
    assert!((squares.sqrt() - 0.5).abs() < 1e-5, "{squares}");
}
