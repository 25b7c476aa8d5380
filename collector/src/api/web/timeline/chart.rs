//! The chart of a timeline: a place for each number, and the paths of its series. Colours and sizes are in the stylesheet.

use std::fmt::Write as _;

use muster_proto::model::Timestamp;

use super::numbers::{Drawing, Numbers, Series};
use super::scale::{Axis, Thousandths, day_ticks};
use crate::api::web::format::{LaneMark, number};

/// The width of the picture. Its height is 1,000.
const WIDTH: i64 = 10_000;
const STEPS: u64 = 4;
const DAY_LABELS: u64 = 5;

/// A chart, as its template shows it.
pub(super) struct Chart {
    /// What a reader hears who does not see it.
    pub(super) title: String,
    pub(super) text: String,
    pub(super) lines: Vec<Tick>,
    pub(super) days: Vec<Tick>,
    pub(super) paths: Vec<Path>,
    pub(super) legend: Vec<Key>,
}

/// A label beside or below the chart.
pub(super) struct Tick {
    /// `33.3%`.
    pub(super) place: String,
    pub(super) text: String,
    pub(super) is_zero: bool,
    /// Which part of the text is at the place: `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
}

/// A series.
pub(super) struct Path {
    /// `bar l-replace`, `line s1`.
    pub(super) class: String,
    pub(super) d: String,
    pub(super) name: String,
}

/// What a colour means.
pub(super) struct Key {
    pub(super) lane: Option<LaneMark>,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) last: String,
}

impl Chart {
    /// `title` and `text` are for readers who do not see it.
    pub(super) fn new(numbers: &Numbers, title: String, text: String) -> Option<Self> {
        let (first, last) = (numbers.days.first()?.number, numbers.days.last()?.number);
        let every = i64::try_from(numbers.every).unwrap_or(1);
        let across = Across { first: first - (every - 1), days: last - first + every, every };
        let (lowest, highest) = ends(numbers);
        let axis = Axis::new(lowest, highest, STEPS);
        let is_line = numbers.drawing == Drawing::Lines;
        let kind = if is_line { "line" } else { "bar" };
        let mut below = vec![0; numbers.days.len()];
        let mut paths = Vec::new();
        for series in &numbers.series {
            let d = if is_line {
                line(numbers, &series.values, &axis, &across)
            } else {
                if numbers.drawing == Drawing::Both {
                    below.fill(0);
                }
                bars(numbers, &series.values, &mut below, &axis, &across)
            };
            paths.push(Path { class: format!("{kind} {}", series.class), d, name: series.name.clone() });
        }
        let key = |series: &Series| Key {
            lane: series.lane.clone(),
            name: series.name.clone(),
            class: format!("{kind} {}", series.class),
            // Machines at the end are those of the last day; machines that changed are those of all days.
            last: number(match numbers.drawing {
                Drawing::Stacked | Drawing::Lines => series.last().unsigned_abs(),
                Drawing::Both => series.values.iter().sum::<i64>().unsigned_abs(),
            }),
        };
        Some(Self {
            title,
            text,
            lines: axis.ticks.iter().map(|tick| Tick::beside(*tick, &axis)).collect(),
            days: day_ticks(first, last, DAY_LABELS).into_iter().map(|day| Tick::below(day, &across)).collect(),
            paths,
            legend: numbers.series.iter().map(key).collect(),
        })
    }
}

/// The lowest and the highest number that is drawn.
fn ends(numbers: &Numbers) -> (i64, i64) {
    let values = || numbers.series.iter().flat_map(|series| series.values.iter().copied());
    let of_day = |at: usize| numbers.series.iter().filter_map(|series| series.values.get(at)).sum();
    let highest = match numbers.drawing {
        Drawing::Stacked => (0..numbers.days.len()).map(of_day).max(),
        Drawing::Lines | Drawing::Both => values().max(),
    };
    (values().min().unwrap_or_default(), highest.unwrap_or_default())
}

/// The days across the chart.
struct Across {
    first: i64,
    days: i64,
    /// Days that a bar is wide.
    every: i64,
}

impl Across {
    /// The place of the beginning of a day.
    fn x(&self, day: i64) -> i64 {
        (day - self.first) * WIDTH / self.days.max(1)
    }

    /// The middle of the bar that ends with a day.
    fn middle(&self, day: i64) -> i64 {
        i64::midpoint(self.x(day - self.every + 1), self.x(day + 1))
    }
}

impl Tick {
    fn beside(tick: i64, axis: &Axis) -> Self {
        Self {
            place: percent(axis.place_of(tick)),
            text: short(tick.unsigned_abs()),
            is_zero: tick == 0,
            anchor: "end",
        }
    }

    fn below(day: i64, across: &Across) -> Self {
        let place = (across.middle(day) * 1_000 / WIDTH).unsigned_abs();
        // A label at an end must not leave the chart.
        let anchor = match place {
            ..40 => "start",
            960.. => "end",
            _ => "middle",
        };
        Self { place: percent(place), text: day_text(day), is_zero: false, anchor }
    }
}

fn percent(place: Thousandths) -> String {
    format!("{}.{}%", place / 10, place % 10)
}

/// `1 Nov`.
fn day_text(day: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = Timestamp::from_millis(day.saturating_mul(24 * 3_600_000));
    let text = at.to_rfc3339();
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<usize>().ok());
    match (part(5..7).and_then(|month| MONTHS.get(month.wrapping_sub(1))), part(8..10)) {
        (Some(month), Some(day)) => format!("{day} {month}"),
        _ => text,
    }
}

/// `900`, `25,000`, `150k`, `2M`: there is little space beside a chart.
fn short(count: u64) -> String {
    match count {
        millions if millions >= 1_000_000 && millions % 100_000 == 0 => {
            let (whole, tenth) = (millions / 1_000_000, millions / 100_000 % 10);
            if tenth == 0 { format!("{whole}M") } else { format!("{whole}.{tenth}M") }
        }
        thousands if thousands >= 100_000 && thousands % 1_000 == 0 => format!("{}k", thousands / 1_000),
        few => number(few),
    }
}

/// A bar for each day, above those that are there already.
fn bars(numbers: &Numbers, values: &[i64], below: &mut [i64], axis: &Axis, across: &Across) -> String {
    let mut path = String::new();
    for ((day, value), base) in numbers.days.iter().zip(values).zip(below) {
        let top = base.saturating_add(*value);
        let (from, to) = (across.x(day.number - across.every + 1), across.x(day.number + 1));
        // Bars have a little space between them.
        let to = to - (to - from) / 8;
        let (high, low) = (axis.place_of(top), axis.place_of(*base));
        if high != low {
            // Writing to a string cannot fail.
            let _ = write!(path, "M{from},{low}V{high}H{to}V{low}Z");
        }
        *base = top;
    }
    path
}

/// A line through the days. It is broken where days are not known.
fn line(numbers: &Numbers, values: &[i64], axis: &Axis, across: &Across) -> String {
    let (mut path, mut before) = (String::new(), None);
    for (day, value) in numbers.days.iter().zip(values) {
        let (x, y) = (across.middle(day.number), axis.place_of(*value));
        let is_next = before.is_some_and(|before| day.number - before <= across.every);
        // The step of no width is a dot where a line has one day only.
        let _ = if is_next { write!(path, "L{x},{y}") } else { write!(path, "M{x},{y}h0") };
        before = Some(day.number);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::numbers::Day;
    use super::*;

    fn chart(drawing: Drawing, days: &[i64], series: &[&[i64]]) -> Chart {
        let day = |number: &i64| Day { number: *number, name: String::new(), open: 0, total: 0, causes: Vec::new() };
        let line = |values: &&[i64]| Series {
            name: "x".to_owned(),
            lane: None,
            class: "s1".to_owned(),
            values: values.to_vec(),
        };
        let numbers = Numbers {
            drawing,
            days: days.iter().map(day).collect(),
            series: series.iter().map(line).collect(),
            every: 1,
            left_out: String::new(),
        };
        Chart::new(&numbers, String::new(), String::new()).expect("there are days")
    }

    fn paths(chart: &Chart) -> Vec<&str> {
        chart.paths.iter().map(|path| path.d.as_str()).collect()
    }

    #[test]
    fn bars_are_on_top_of_each_other_and_fill_the_chart() {
        let chart = chart(Drawing::Stacked, &[20_000, 20_001], &[&[2, 1], &[2, 0]]);
        assert_eq!(paths(&chart), ["M0,1000V500H4375V1000ZM5000,1000V750H9375V1000Z", "M0,500V0H4375V500Z"]);
        let lines: Vec<_> = chart.lines.iter().map(|tick| (tick.text.as_str(), tick.place.as_str())).collect();
        assert_eq!(lines, [("0", "100.0%"), ("1", "75.0%"), ("2", "50.0%"), ("3", "25.0%"), ("4", "0.0%")]);
        let days: Vec<_> = chart.days.iter().map(|tick| (tick.text.as_str(), tick.place.as_str())).collect();
        assert_eq!(days, [("4 Oct", "25.0%"), ("5 Oct", "75.0%")]);
    }

    #[test]
    fn a_line_is_broken_where_days_are_not_known() {
        let chart = chart(Drawing::Lines, &[1, 2, 4], &[&[4, 2, 0]]);
        assert_eq!(paths(&chart), ["M1250,0h0L3750,500M8750,1000h0"]);
    }

    #[test]
    fn what_is_finished_is_below_zero() {
        let chart = chart(Drawing::Both, &[1], &[&[2], &[-2]]);
        assert_eq!(paths(&chart), ["M0,500V0H8750V500Z", "M0,500V1000H8750V500Z"]);
        assert_eq!(chart.legend.iter().map(|key| key.last.as_str()).collect::<Vec<_>>(), ["2", "2"]);
    }

    #[test]
    fn large_numbers_take_little_space() {
        let shown = [0, 25_000, 100_000, 123_456, 2_000_000, 2_500_000].map(short);
        assert_eq!(shown, ["0", "25,000", "100k", "123,456", "2M", "2.5M"]);
    }
}
