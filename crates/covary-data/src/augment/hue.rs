//! Hue: the colour turns by a fraction of a full turn on the circle of the HSV hexcone (Smith 1978), saturation and value kept.
//!
//! With M and m the largest and smallest channel, the channel whose offset is n (red 5, green 3, blue 1) becomes
//! M - (M - m) max(0, min(k, 4 - k, 1)), k = (n + 6 h) mod 6: the standard conversion back to RGB without branches.

use super::planes::Planes;

/// Turns the hue by `shift` turns, |shift| ≤ 1/2.
pub(super) fn turn(planes: &mut Planes, shift: f32) {
    // sextants, plus one turn so that it stays positive
    let shift = 6.0 * shift + 6.0;
    let [red, green, blue] = planes.channels_mut();
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let (r, g, b) = (*red, *green, *blue);
        let largest = if r > g { r } else { g };
        let largest = if largest > b { largest } else { b };
        let smallest = if r < g { r } else { g };
        let smallest = if smallest < b { smallest } else { b };
        let range = largest - smallest;
        // grey pixels have range 0: any hue gives them back
        let inverse = 1.0 / if range > 0.0 { range } else { 1.0 };
        let from_red = (g - b) * inverse;
        let from_green = (b - r) * inverse + 2.0;
        let from_blue = (r - g) * inverse + 4.0;
        let hue = if g >= largest { from_green } else { from_blue };
        let hue = if r >= largest { from_red } else { hue } + shift;
        *red = channel(hue + 5.0, largest, range);
        *green = channel(hue + 3.0, largest, range);
        *blue = channel(hue + 1.0, largest, range);
    }
}

/// `k` in sextants, 0 ≤ k < 24.
fn channel(k: f32, largest: f32, range: f32) -> f32 {
    let k = if k >= 12.0 { k - 12.0 } else { k };
    let k = if k >= 6.0 { k - 6.0 } else { k };
    let ramp = if k < 4.0 - k { k } else { 4.0 - k };
    let ramp = if ramp < 1.0 { ramp } else { 1.0 };
    let ramp = if ramp > 0.0 { ramp } else { 0.0 };
    largest - range * ramp
}
