//! What is printed.

use std::{fmt, time::Duration};

/// The middle one.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// For rows in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What a row is to reach.
#[derive(Clone, Copy)]
pub enum Goal {
    /// The ratio to the floor, or where there is none, the figure.
    AtLeast(f64),
    /// The same.
    AtMost(f64),
}

/// A figure, against its floor where it has one.
pub struct Row {
    name: String,
    unit: &'static str,
    figures: Vec<f64>,
    floors: Vec<f64>,
    /// Of the gateway, of the floor and of Postgres under the gateway, per operation.
    cpu_ms: [Vec<f64>; 3],
    goal: Option<Goal>,
}

impl Row {
    /// A row to be filled, in a unit as "ms" or "/s".
    pub fn new(name: impl Into<String>, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            unit,
            figures: Vec::new(),
            floors: Vec::new(),
            cpu_ms: Default::default(),
            goal: None,
        }
    }

    /// A row of one figure without a floor.
    pub fn single(name: impl Into<String>, unit: &'static str, figure: f64) -> Self {
        let mut row = Self::new(name, unit);
        row.figures.push(figure);
        row
    }

    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// A block of the gateway and one of the floor.
    pub fn add(&mut self, figure: f64, floor: f64) {
        self.figures.push(figure);
        self.floors.push(floor);
    }

    /// A block of the gateway, where there is no floor.
    pub fn add_alone(&mut self, figure: f64) {
        self.figures.push(figure);
    }

    /// CPU milliseconds per operation in one pair of blocks.
    pub fn add_cpu(&mut self, gateway: f64, floor: Option<f64>, postgres: Option<f64>) {
        let [of_gateway, of_floor, of_postgres] = &mut self.cpu_ms;
        of_gateway.push(gateway);
        of_floor.extend(floor);
        of_postgres.extend(postgres);
    }

    fn ratios(&self) -> Vec<f64> {
        let pairs = self.figures.iter().zip(&self.floors);
        let mut ratios: Vec<f64> = pairs.map(|(figure, floor)| figure / floor).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// What the goal speaks of.
    fn measured(&self) -> f64 {
        if self.floors.is_empty() {
            median(self.figures.clone())
        } else {
            median(self.ratios())
        }
    }
}

/// The columns: name, gateway, floor, ratio, goal, CPU.
fn line(columns: [&str; 6]) -> String {
    let [name, figure, floor, ratio, goal, cpu] = columns;
    let line = format!("{name:<46}{figure:>12}{floor:>12}   {ratio:<22}  {goal:<15}  {cpu}");
    line.trim_end().to_owned()
}

/// The rows below their head.
pub fn print(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| format!("\n{row}"));
    let head = line([
        "figure",
        "gateway",
        "floor",
        "ratio",
        "goal",
        "CPU ms each: gateway, floor, Postgres",
    ]);
    lines.fold(head, |all, line| all + &line)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_unit = |value: f64| format!("{} {}", short(value), self.unit);
        let ratios = self.ratios();
        let (floor, ratio) = match (ratios.first(), ratios.last()) {
            (Some(least), Some(greatest)) => (
                with_unit(median(self.floors.clone())),
                format!(
                    "{:.2} ({least:.2} to {greatest:.2})",
                    median(ratios.clone())
                ),
            ),
            _ => (String::new(), String::new()),
        };
        let (measured, verdict) = (
            self.measured(),
            |is_met| if is_met { "met" } else { "NOT MET" },
        );
        let goal = match self.goal {
            Some(Goal::AtLeast(least)) => {
                format!("≥ {} {}", short(least), verdict(measured >= least))
            }
            Some(Goal::AtMost(most)) => format!("≤ {} {}", short(most), verdict(measured <= most)),
            None => String::new(),
        };
        let cpu = self.cpu_ms.iter().filter(|all| !all.is_empty());
        let cpu: Vec<String> = cpu
            .map(|all| format!("{:.3}", median(all.clone())))
            .collect();
        let figure = with_unit(median(self.figures.clone()));
        f.write_str(&line([
            &self.name,
            &figure,
            &floor,
            &ratio,
            &goal,
            &cpu.join(", "),
        ]))
    }
}

/// Three digits that say something.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        medium if medium >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
