//! The table at the end of a run, from the object of its `result.json`.

use std::fmt::Write;

use serde_json::Value;

use crate::output::{Table, significant};

/// Scores and collapse metrics, each beside the reference lines, then what to try next.
pub(crate) fn table(result: &Value) -> String {
    let mut text = String::new();
    let percent = |key: &str| {
        result[key]
            .as_f64()
            .map_or_else(|| "–".into(), |value| format!("{:.1} %", 100.0 * value))
    };
    if !result["linear_top1"].is_null() {
        let mut scores = Table::new(&["", "trained", "untrained", "raw pixels"]);
        for (name, key) in [
            ("linear top-1", "linear_top1"),
            ("kNN top-1, k = 20", "knn_top1"),
            ("kNN top-1, k = 200", "knn200_top1"),
        ] {
            scores.row(vec![
                name.into(),
                percent(key),
                percent(&format!("random_{key}")),
                percent(&format!("pixel_{key}")),
            ]);
        }
        let data = result["data"].as_str().unwrap_or("the data");
        let _ = writeln!(
            text,
            "
Scores on the test set of {data}
"
        );
        text.push_str(&scores.render());
    }
    text.push_str("\nCollapse metrics on clean training images\n\n");
    text.push_str(&metrics(result).render());
    for (space, key) in [
        ("representation h", "representation_verdict"),
        ("h before training", "untrained_representation_verdict"),
        ("embedding z", "embedding_verdict"),
    ] {
        if let Some(reason) = result[key]["reason"].as_str() {
            let _ = writeln!(text, "  {space}: {reason}");
        }
    }
    text.push_str(&collapse(result));
    text.push_str(&ending(result));
    text
}

fn metrics(result: &Value) -> Table {
    let has_reference = !result["random_representation"].is_null();
    let mut header = vec!["", "h trained", "z trained"];
    if has_reference {
        header.extend(["h untrained", "z untrained", "raw pixels"]);
    }
    let mut table = Table::new(&header);
    let names = result["representation"]
        .as_object()
        .into_iter()
        .flat_map(|metrics| metrics.keys());
    for name in names {
        let value = |key: &str| {
            result[key][name]
                .as_f64()
                .map_or_else(|| "–".into(), significant)
        };
        let mut row = vec![
            name.replace('_', " "),
            value("representation"),
            value("embedding"),
        ];
        if has_reference {
            row.extend(["random_representation", "random_embedding", "pixel_metrics"].map(value));
        }
        if row[1..].iter().any(|cell| cell != "–") {
            table.row(row);
        }
    }
    table
}

/// Which spaces of a collapsed run were lost, when that began, and the signs that were seen.
fn collapse(result: &Value) -> String {
    let mut text = String::new();
    for (space, verdict, began) in [
        (
            "representation h",
            "representation_verdict",
            "representation_collapse_step",
        ),
        ("embedding z", "embedding_verdict", "collapse_step"),
    ] {
        let word = result[verdict]["outcome"].as_str();
        if word.is_some_and(|word| word != "healthy") {
            let since = result[began].as_u64().map_or_else(String::new, |step| {
                format!(", measured so from step {step} on")
            });
            let _ = writeln!(text, "\n  The {space} collapsed{since}.");
        }
    }
    if result["stopped"] == true {
        text.push_str("  Training was stopped there.\n");
    }
    for alarm in result["alarms"].as_array().into_iter().flatten() {
        let message = alarm["message"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "  sign of collapse at step {}: {message}",
            alarm["step"]
        );
    }
    text
}

fn ending(result: &Value) -> String {
    let number = |key: &str| {
        result[key]
            .as_f64()
            .map_or_else(|| "–".into(), |value| format!("{value:.0}"))
    };
    let run = result["run"].as_str().unwrap_or_default();
    let memory = result["peak_memory_bytes"]
        .as_f64()
        .map_or_else(String::new, |bytes| {
            format!(", peak memory {:.2} GB", bytes / 1e9)
        });
    format!(
        "\n{}: {} source images/s, {} s of training, {} s in all{memory}\n\nNext:\n  \
         covary pretrain --set epochs=20                     train longer\n  \
         covary pretrain --set terms.covariance.weight=0     what does one term do?\n  \
         covary pretrain tico                                another method (covary list)\n  \
         tensorboard --logdir {run}    loss curves\n",
        run,
        number("images_per_s"),
        number("train_s"),
        number("total_s"),
    )
}
