//! Configurations: what is printed runs as it stands, and mistakes are told where they are.

use covary_loss::method;
use covary_train::TrainError;
use covary_train::config::{RECIPES, TrainConfig};

fn fails(text: &str) -> TrainError {
    TrainConfig::parse("file.toml", text).unwrap_err()
}

#[test]
fn every_recipe_and_preset_resolves_and_reads_back_what_it_prints() {
    for (name, _) in RECIPES {
        let config = TrainConfig::resolve(name, &[]).unwrap();
        assert_eq!(
            TrainConfig::parse("printed", &config.to_toml()).unwrap(),
            config,
            "{name}"
        );
    }
    for (name, about) in method::presets() {
        let config = TrainConfig::parse("test", &format!("method = \"{name}\"")).unwrap();
        assert_eq!(
            TrainConfig::parse("printed", &config.to_toml()).unwrap(),
            config,
            "{name}"
        );
        assert!(about.len() > 10, "{name} says what it is");
    }
}

#[test]
fn overrides_win_over_recipe_over_preset_over_defaults() {
    let config = TrainConfig::resolve(
        "narrow",
        &[
            "terms.variance.weight=3".into(),
            "optimizer.name=sgd".into(),
            "seed=9".into(),
        ],
    )
    .unwrap();
    let weight = |name: &str| {
        config
            .terms
            .iter()
            .find(|(term, _)| *term == name)
            .unwrap()
            .1
            .weight
    };
    assert_eq!(
        (weight("variance"), weight("invariance"), config.seed),
        (3.0, 25.0, 9)
    );
    assert_eq!(config.projector.dim, 512);
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_one() {
    for (text, key, suggestion) in [
        ("epoch = 3", "epoch", "did you mean epochs?"),
        (
            "[optimizer]\nlearnig_rate = 1.0",
            "optimizer.learnig_rate",
            "",
        ),
        (
            "[optimizer]\nweight_decy = 1.0",
            "optimizer.weight_decy",
            "did you mean optimizer.weight_decay?",
        ),
        (
            "[augment.view_a.flip]\nprobabilty = 1.0",
            "augment.view_a.flip.probabilty",
            "did you mean augment.view_a.flip.probability?",
        ),
    ] {
        match fails(text) {
            TrainError::UnknownKey {
                layer,
                key: found,
                suggestion: hint,
            } => {
                assert_eq!((layer.as_str(), found.as_str()), ("file.toml", key));
                assert!(hint.contains(suggestion), "{hint}");
            }
            other => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn values_that_make_no_sense_are_told_with_their_key() {
    for (text, key) in [
        ("batch_size = 1", "batch_size"),
        ("epochs = 0", "epochs"),
        ("epochs = \"many\"", "epochs"),
        ("[encoder]\nwidth = 0", "encoder.width"),
        ("[encoder]\nname = \"vgg7\"", "encoder.name"),
        ("[encoder]\nchannels = [8, 16]", "encoder.channels"),
        (
            "[encoder]\nname = \"vgg6\"\nchannels = [8, 0, 16]",
            "encoder.channels",
        ),
        ("[encoder]\nstem = \"white\"", "encoder.stem"),
        (
            "[encoder]\ninitialisation = \"zero\"",
            "encoder.initialisation",
        ),
        ("[optimizer]\nlr = nan", "optimizer.lr"),
        ("[optimizer]\nlr = -1.0", "optimizer.lr"),
        ("[terms.variance]\nweight = nan", "terms.variance.weight"),
        ("[schedule]\nwarmup = 2.0", "schedule.warmup"),
        ("[target]\ndecay = 1.5", "target.decay"),
        ("precision = \"f16\"", "precision"),
        ("[data]\nlimit = 10", "data.limit"),
        ("[terms.variance]\ngama = 1.0", "terms"),
        ("[terms.varance]\n", "terms"),
    ] {
        match fails(text) {
            TrainError::BadValue {
                key: found, layer, ..
            } => assert_eq!(
                (found.as_str(), layer.as_str()),
                (key, "file.toml"),
                "{text}"
            ),
            other => panic!("{text}: {other}"),
        }
    }
    assert!(matches!(
        fails("method = \"vicrge\""),
        TrainError::Method(_)
    ));
    assert!(matches!(fails("epochs = = 3"), TrainError::Syntax { .. }));
    assert!(matches!(
        TrainConfig::resolve("quikc", &[]),
        Err(TrainError::UnknownRecipe { .. })
    ));
}

/// Run folders hold configurations of programs that had fewer keys.
#[test]
fn an_encoder_of_name_and_width_alone_is_what_it_was() {
    let mut table = TrainConfig::resolve("narrow", &[]).unwrap().to_table();
    let encoder = table["encoder"].as_table_mut().unwrap();
    for key in ["channels", "expand", "stem", "initialisation"] {
        assert!(encoder.remove(key).is_some(), "{key}");
    }
    let config = TrainConfig::parse("old", &table.to_string()).unwrap();
    assert_eq!(config, TrainConfig::resolve("narrow", &[]).unwrap());
    assert_eq!(config.encoder.features().unwrap(), 8 * config.encoder.width);
}
