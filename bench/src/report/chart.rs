//! A plot as inline SVG.

use std::fmt::Write as _;

use super::escape;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 24.0;
/// Colours of the style.
const COLOURS: usize = 8;

/// A line in a plot.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) series: Vec<Series>,
    /// The vertical axis is logarithmic.
    pub(super) logarithmic: bool,
    /// Names at the horizontal axis; even steps when there are none.
    pub(super) names: Vec<(f64, String)>,
    /// Behind the numbers of the horizontal axis.
    pub(super) unit: &'static str,
    /// Stretches of the horizontal axis that are marked.
    pub(super) marked: Vec<(f64, f64)>,
}

/// Where values lie on the paper.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    logarithmic: bool,
}

impl Frame {
    fn of(chart: &Chart) -> Self {
        let points = || chart.series.iter().flat_map(|series| &series.points);
        let lowest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
        let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let x = (lowest(&mut points().map(|point| point.0)), highest(&mut points().map(|point| point.0)));
        let top = highest(&mut points().map(|point| point.1)).max(1e-9);
        let y = if chart.logarithmic {
            let least = lowest(&mut points().map(|point| point.1).filter(|value| *value > 0.0)).min(top);
            (
                10_f64.powf(least.log10().floor()),
                10_f64.powf(top.log10().ceil().max(least.log10().floor() + 1.0)),
            )
        } else {
            let step = step(top, 5.0);
            (0.0, (top / step).ceil() * step)
        };
        Self { x, y, logarithmic: chart.logarithmic }
    }

    fn x(&self, value: f64) -> f64 {
        let span = (self.x.1 - self.x.0).max(1e-9);
        LEFT + (value - self.x.0) / span * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let (least, most) = (self.y.0.log10(), self.y.1.log10());
            (value.max(self.y.0).log10() - least) / (most - least)
        } else {
            value / self.y.1
        };
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    /// The values that have a line.
    fn lines(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.y.1 / self.y.0).log10().round() as i32;
            return (0..=decades).map(|decade| self.y.0 * 10_f64.powi(decade)).collect();
        }
        let step = step(self.y.1, 5.0);
        let count = (self.y.1 / step).round() as u32;
        (0..=count).map(|number| f64::from(number) * step).collect()
    }
}

/// A round step of which about `wanted` reach `top`.
fn step(top: f64, wanted: f64) -> f64 {
    let rough = (top / wanted).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough).unwrap_or(rough)
}

/// A number at an axis.
fn label(value: f64) -> String {
    match value.abs() {
        million if million >= 1e6 => format!("{} M", round(value / 1e6)),
        thousand if thousand >= 1e4 => format!("{} k", round(value / 1e3)),
        _small => round(value),
    }
}

fn round(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Chart {
    /// Whether there is anything to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.len() < 2)
    }

    /// The plot with its title and legend.
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        let frame = Frame::of(self);
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">",
            escape(&self.title)
        );
        for (from, to) in &self.marked {
            let (left, right) = (frame.x(from.max(frame.x.0)), frame.x(to.min(frame.x.1)));
            let (width, height) = ((right - left).max(0.0), HEIGHT - TOP - BOTTOM);
            write!(
                svg,
                "<rect class=\"stop\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            )?;
        }
        self.axes(&frame, &mut svg)?;
        for (number, series) in self.series.iter().enumerate() {
            write!(
                svg,
                "<polyline class=\"series\" style=\"stroke:var(--s{})\" points=\"",
                number % COLOURS
            )?;
            for (x, y) in &series.points {
                write!(svg, "{:.1},{:.1} ", frame.x(*x), frame.y(*y))?;
            }
            svg.push_str("\"/>");
        }
        svg.push_str("</svg><div class=\"legend\">");
        for (number, series) in self.series.iter().enumerate() {
            let (colour, name) = (number % COLOURS, escape(&series.name));
            write!(svg, "<span><i style=\"background:var(--s{colour})\"></i>{name}</span>")?;
        }
        svg.push_str("</div></figure>");
        Ok(svg)
    }

    fn axes(&self, frame: &Frame, svg: &mut String) -> anyhow::Result<()> {
        for value in frame.lines() {
            let y = frame.y(value);
            let right = WIDTH - RIGHT;
            write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>")?;
            let (x, y) = (LEFT - 6.0, y + 4.0);
            write!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", label(value))?;
        }
        let even = || {
            let step = step(frame.x.1 - frame.x.0, 6.0);
            let first = (frame.x.0 / step).ceil() as i64;
            let last = (frame.x.1 / step).floor() as i64;
            (first..=last)
                .map(|number| number as f64 * step)
                .map(|value| (value, label(value) + self.unit))
                .collect()
        };
        let names: Vec<(f64, String)> = if self.names.is_empty() { even() } else { self.names.clone() };
        for (value, name) in names.iter().filter(|(value, _)| (frame.x.0..=frame.x.1).contains(value)) {
            let (x, y) = (frame.x(*value), HEIGHT - 6.0);
            write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escape(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert!((step(100.0, 5.0) - 20.0).abs() < 1e-9);
        assert!((step(0.07, 5.0) - 0.02).abs() < 1e-9);
        assert_eq!(
            (label(12_500.0).as_str(), label(0.25).as_str(), label(2e6).as_str()),
            ("12.5 k", "0.25", "2 M")
        );
    }

    #[test]
    fn every_point_is_on_the_paper() -> anyhow::Result<()> {
        for logarithmic in [false, true] {
            let points = vec![(0.0, 0.0), (1.0, 0.02), (2.0, 812.0)];
            let series = vec![Series { name: "a<b".into(), points }];
            let chart = Chart { series, logarithmic, ..Chart::default() };
            let frame = Frame::of(&chart);
            for (x, y) in &chart.series[0].points {
                assert!((LEFT..=WIDTH - RIGHT).contains(&frame.x(*x)));
                assert!((TOP - 0.01..=HEIGHT - BOTTOM + 0.01).contains(&frame.y(*y)), "{y}: {}", frame.y(*y));
            }
            let svg = chart.svg()?;
            assert!(svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
        }
        Ok(())
    }
}
