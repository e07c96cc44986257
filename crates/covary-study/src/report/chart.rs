//! A line chart that stretches with the page: lines live in a stretched unit square with strokes that do not scale, words outside of it.

use maud::{Markup, html};

use super::page::significant;

/// Height of the plot, pixels.
const HEIGHT: f64 = 150.0;

/// How a coordinate is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    Linear,
    Log,
}

/// A curve with an optional band around it: `[x, low, middle, high]`.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) name: String,
    /// Which of the page's eight colours; 0 is grey.
    pub(super) colour: usize,
    pub(super) dashed: bool,
    pub(super) points: Vec<[f64; 4]>,
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_label: &'static str,
    pub(super) x: Scaling,
    pub(super) y: Scaling,
    /// Ends of the y axis that are shown in any case.
    pub(super) y_range: Option<[f64; 2]>,
    pub(super) curves: Vec<Curve>,
}

/// From values to a share of the axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    scaling: Scaling,
}

impl Curve {
    /// A curve without a band.
    pub(super) fn plain(
        name: &str,
        colour: usize,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            colour,
            dashed: false,
            points: points.map(|(x, y)| [x, y, y, y]).collect(),
        }
    }
}

impl Axis {
    pub(super) fn new(values: impl Iterator<Item = f64>, scaling: Scaling) -> Option<Self> {
        let is_shown =
            |value: &f64| value.is_finite() && (scaling == Scaling::Linear || *value > 0.0);
        let ends = values
            .filter(is_shown)
            .fold(None, |ends: Option<[f64; 2]>, value| {
                let [low, high] = ends.unwrap_or([value, value]);
                Some([low.min(value), high.max(value)])
            });
        let [low, high] = ends?;
        let (low, high) = match scaling {
            Scaling::Log if high / low < 1.1 => (low / 2.0, high * 2.0),
            Scaling::Linear if high - low <= 1e-12 * high.abs() => (low - 0.5, high + 0.5),
            _ => (low, high),
        };
        Some(Self { low, high, scaling })
    }

    /// Share of the axis from its low end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scaling {
            Scaling::Linear => (value - self.low) / (self.high - self.low),
            Scaling::Log => {
                (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
            }
        };
        place.clamp(-0.05, 1.05)
    }

    /// Two to six round values within the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scaling {
            Scaling::Linear => {
                let rough = (self.high - self.low) / 4.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0]
                    .map(|factor| factor * power)
                    .into_iter()
                    .find(|step| *step >= 0.75 * rough)
                    .unwrap_or(rough);
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last).map(|index| index as f64 * step).collect()
            }
            Scaling::Log => {
                let (first, last) = (
                    self.low.log10().ceil() as i32,
                    self.high.log10().floor() as i32,
                );
                let stride = ((last - first) / 4 + 1) as usize;
                let decades: Vec<f64> = (first..=last)
                    .step_by(stride)
                    .map(|power| 10_f64.powi(power))
                    .collect();
                if decades.len() >= 2 {
                    decades
                } else {
                    vec![self.low, self.high]
                }
            }
        }
    }
}

impl Chart {
    /// The chart; nothing where there is no point.
    pub(super) fn render(&self) -> Markup {
        let all = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = Axis::new(all().map(|point| point[0]), self.x);
        let y_values = all().flat_map(|point| point[1..].iter().copied());
        let y = Axis::new(y_values.chain(self.y_range.into_iter().flatten()), self.y);
        let (Some(x), Some(y)) = (x, y) else {
            return html! {};
        };
        let down = |value: f64| (1.0 - y.place(value)) * HEIGHT;
        let across = |value: f64| format!("{:.2}%", 100.0 * x.place(value));
        let named = || {
            self.curves
                .iter()
                .filter(|curve| !curve.name.is_empty() && !curve.points.is_empty())
        };
        html! {
            figure {
                figcaption { (self.title) }
                @if named().next().is_some() {
                    div.legend {
                        @for curve in named() {
                            span class=(class(curve)) { (curve.name) }
                        }
                    }
                }
                div.frame {
                    svg height=(HEIGHT) aria-hidden="true" {
                        @for tick in y.ticks() {
                            text x="40" y=(format!("{:.1}", down(tick) + 4.0)) text-anchor="end" { (significant(tick)) }
                        }
                    }
                    svg height=(HEIGHT) role="img" aria-label=(self.title) {
                        @for tick in y.ticks() {
                            line.grid x1="0" x2="100%" y1=(format!("{:.1}", down(tick))) y2=(format!("{:.1}", down(tick))) {}
                        }
                        line.axis x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
                        svg viewBox="0 0 1000 1000" preserveAspectRatio="none" height=(HEIGHT) {
                            @for curve in &self.curves { (draw(curve, &x, &y)) }
                        }
                        @for curve in self.curves.iter().filter(|curve| curve.points.len() <= 12) {
                            @for point in &curve.points {
                                circle.dot.(format!("c{}", curve.colour)) cx=(across(point[0])) cy=(format!("{:.1}", down(point[2]))) r="2.2" {}
                            }
                        }
                    }
                    svg.below height="32" aria-hidden="true" {
                        @for tick in x.ticks() {
                            text x=(across(tick)) y="14" text-anchor="middle" { (significant(tick)) }
                        }
                        text x="100%" y="28" text-anchor="end" { (self.x_label) }
                    }
                }
            }
        }
    }
}

fn class(curve: &Curve) -> String {
    let dashed = if curve.dashed { " dashed" } else { "" };
    format!("c{}{dashed}", curve.colour)
}

/// Band and line in a square of 1000 by 1000.
fn draw(curve: &Curve, x: &Axis, y: &Axis) -> Markup {
    let point = |at: f64, value: f64| {
        format!(
            "{:.0},{:.0}",
            1000.0 * x.place(at),
            1000.0 * (1.0 - y.place(value))
        )
    };
    let middle: Vec<_> = curve.points.iter().map(|p| point(p[0], p[2])).collect();
    let has_band = curve.points.iter().any(|p| p[3] > p[1]);
    let lower = curve.points.iter().map(|p| point(p[0], p[1]));
    let upper = curve.points.iter().rev().map(|p| point(p[0], p[3]));
    let band: Vec<_> = lower.chain(upper).collect();
    html! {
        @if has_band { polygon.band.(format!("c{}", curve.colour)) points=(band.join(" ")) {} }
        polyline class=(format!("line {}", class(curve))) points=(middle.join(" ")) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = Axis::new([0.03, 0.97].into_iter(), Scaling::Linear).unwrap();
        let ticks: Vec<_> = axis.ticks().iter().map(|tick| significant(*tick)).collect();
        assert_eq!(ticks, ["0.2", "0.4", "0.6", "0.8"].map(str::to_owned));
        for i in 0..1000 {
            let low = f64::from(i % 37) - 20.0;
            let high = low + 1.0 + f64::from(i) / 7.0;
            let ticks = Axis::new([low, high].into_iter(), Scaling::Linear)
                .unwrap()
                .ticks();
            assert!((2..=6).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high + 1e-9).contains(tick)));
        }
        let axis = Axis::new([1e-4, 2.0].into_iter(), Scaling::Log).unwrap();
        assert!(axis.ticks().iter().all(|tick| (1e-4..=2.0).contains(tick)));
        assert!((axis.place(1e-4)).abs() < 1e-12 && (axis.place(2.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_constant_has_an_axis_and_nothing_has_none() {
        assert!(Axis::new([3.0, 3.0].into_iter(), Scaling::Linear).is_some());
        assert!(Axis::new([f64::NAN].into_iter(), Scaling::Linear).is_none());
        assert!(Axis::new([-1.0].into_iter(), Scaling::Log).is_none());
    }
}
