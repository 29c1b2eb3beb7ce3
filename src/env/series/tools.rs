//! Forecasting methods, written as an agent writes them: `naive`, `seasonal 12`, `holt 0.3 0.1`.

/// A method with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The mean of everything.
    Mean,
    /// The last value.
    Naive,
    /// The last value, and the average step of the whole history.
    Drift,
    /// The value one season (of this many steps) earlier.
    Seasonal(usize),
    /// The mean of the last few values.
    Window(usize),
    /// Simple exponential smoothing: weight of the newest value.
    Smooth(f64),
    /// Holt's linear trend: weights of level and trend.
    Holt(f64, f64),
    /// Additive Holt-Winters: weights of level, trend and season, and the season's length.
    Winters(f64, f64, f64, usize),
}

/// Every method: its name, and how it is written.
pub const METHODS: &[(&str, &str)] = &[
    ("mean", "mean"),
    ("naive", "naive"),
    ("drift", "drift"),
    ("seasonal", "seasonal PERIOD"),
    ("window", "window LENGTH"),
    ("smooth", "smooth ALPHA"),
    ("holt", "holt ALPHA BETA"),
    ("winters", "winters ALPHA BETA GAMMA PERIOD"),
];

impl Method {
    /// Reads a method. Fails with a sentence for the agent.
    pub fn read(text: &str) -> Result<Method, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some((_, form)) = METHODS.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
            return Err(format!("There is no method \"{}\", only {}.", cut(name), names.join(", ")));
        };
        let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok().filter(|x: &f64| x.is_finite())).collect();
        let weight = |x: f64| (0.0..=1.0).contains(&x);
        let length = |x: f64| (x.fract() == 0.0 && (1.0..=1000.0).contains(&x)).then_some(x as usize);
        let found = match (name, numbers.as_deref().unwrap_or(&[f64::NAN])) {
            ("mean", []) => Some(Method::Mean),
            ("naive", []) => Some(Method::Naive),
            ("drift", []) => Some(Method::Drift),
            ("seasonal", [n]) => length(*n).map(Method::Seasonal),
            ("window", [n]) => length(*n).map(Method::Window),
            ("smooth", [a]) if weight(*a) => Some(Method::Smooth(*a)),
            ("holt", [a, b]) if weight(*a) && weight(*b) => Some(Method::Holt(*a, *b)),
            ("winters", [a, b, c, n]) if [a, b, c].into_iter().all(|x| weight(*x)) => {
                length(*n).map(|n| Method::Winters(*a, *b, *c, n))
            }
            _ => None,
        };
        found.ok_or_else(|| format!("Write it like: {form}. Weights are from 0 to 1, lengths from 1 to 1000."))
    }

    /// The name alone.
    pub fn name(&self) -> &'static str {
        let at = match self {
            Method::Mean => 0,
            Method::Naive => 1,
            Method::Drift => 2,
            Method::Seasonal(_) => 3,
            Method::Window(_) => 4,
            Method::Smooth(_) => 5,
            Method::Holt(..) => 6,
            Method::Winters(..) => 7,
        };
        METHODS[at].0
    }

    /// The next `horizon` values; `past` is not empty. A period longer than the past is as good as none.
    pub fn forecast(&self, past: &[f64], horizon: usize) -> Vec<f64> {
        let last = past[past.len() - 1];
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        match *self {
            Method::Mean => vec![mean(past); horizon],
            Method::Naive => vec![last; horizon],
            Method::Drift => {
                let step = if past.len() > 1 { (last - past[0]) / (past.len() - 1) as f64 } else { 0.0 };
                (1..=horizon).map(|h| last + step * h as f64).collect()
            }
            Method::Seasonal(period) if period <= past.len() => {
                let season = &past[past.len() - period..];
                (0..horizon).map(|h| season[h % period]).collect()
            }
            Method::Seasonal(_) => vec![last; horizon],
            Method::Window(length) => vec![mean(&past[past.len() - length.min(past.len())..]); horizon],
            Method::Smooth(alpha) => {
                let level = past.iter().skip(1).fold(past[0], |level, x| level + alpha * (x - level));
                vec![level; horizon]
            }
            Method::Holt(alpha, beta) => {
                let (level, trend) = holt(past, alpha, beta);
                (1..=horizon).map(|h| level + trend * h as f64).collect()
            }
            Method::Winters(alpha, beta, gamma, period) if past.len() >= 2 * period => {
                winters(past, [alpha, beta, gamma], period, horizon)
            }
            Method::Winters(alpha, beta, ..) => Method::Holt(alpha, beta).forecast(past, horizon),
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self {
            Method::Mean | Method::Naive | Method::Drift => Ok(()),
            Method::Seasonal(n) | Method::Window(n) => write!(f, " {n}"),
            Method::Smooth(a) => write!(f, " {a}"),
            Method::Holt(a, b) => write!(f, " {a} {b}"),
            Method::Winters(a, b, c, n) => write!(f, " {a} {b} {c} {n}"),
        }
    }
}

fn holt(past: &[f64], alpha: f64, beta: f64) -> (f64, f64) {
    let trend = if past.len() > 1 { past[1] - past[0] } else { 0.0 };
    past.iter().skip(1).fold((past[0], trend), |(level, trend), x| {
        let next = alpha * x + (1.0 - alpha) * (level + trend);
        (next, beta * (next - level) + (1.0 - beta) * trend)
    })
}

/// Starts at the end of the first season: on the line through the means of the first two seasons, with the first season's
/// differences to that line. A line plus a season is then continued exactly, whatever the weights.
fn winters(past: &[f64], [alpha, beta, gamma]: [f64; 3], period: usize, horizon: usize) -> Vec<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (first, second) = (mean(&past[..period]), mean(&past[period..2 * period]));
    let mut trend = (second - first) / period as f64;
    let middle = (period - 1) as f64 / 2.0;
    let mut level = first + trend * middle;
    let mut season: Vec<f64> =
        past[..period].iter().enumerate().map(|(t, x)| x - first - trend * (t as f64 - middle)).collect();
    for (t, x) in past.iter().enumerate().skip(period) {
        let seasonal = season[t % period];
        let next = alpha * (x - seasonal) + (1.0 - alpha) * (level + trend);
        trend = beta * (next - level) + (1.0 - beta) * trend;
        level = next;
        season[t % period] = gamma * (x - level) + (1.0 - gamma) * seasonal;
    }
    (1..=horizon).map(|h| level + trend * h as f64 + season[(past.len() + h - 1) % period]).collect()
}

/// Mean absolute error; both are of one length, not empty.
pub fn error(forecast: &[f64], actual: &[f64]) -> f64 {
    forecast.iter().zip(actual).map(|(a, b)| (a - b).abs()).sum::<f64>() / actual.len() as f64
}

/// Autocorrelation at a lag; 0 for a constant series.
pub fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let shared: f64 = values.iter().zip(values.iter().skip(lag)).map(|(a, b)| (a - mean) * (b - mean)).sum();
    if variance > 0.0 { shared / variance } else { 0.0 }
}

/// What there is to say of a series, in a sentence or two; at least two values.
pub fn describe(past: &[f64]) -> String {
    let (n, sum) = (past.len() as f64, past.iter().sum::<f64>());
    let mean = sum / n;
    let deviation = (past.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (low, high) = past.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let slope = (past[past.len() - 1] - past[0]) / (n - 1.0);
    let lags = (2..=24.min(past.len() / 2)).map(|lag| (lag, autocorrelation(past, lag)));
    let (lag, height) = lags.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((1, 0.0));
    format!(
        "{} values from {low:.2} to {high:.2}, mean {mean:.2}, standard deviation {deviation:.2}, average step {slope:.3}. \
         The highest autocorrelation beyond lag 1 is {height:.2} at lag {lag}.",
        past.len()
    )
}

/// The methods an expert tries; `period` is the series' own, if it has one.
pub fn candidates(period: Option<usize>) -> Vec<Method> {
    let mut all = vec![Method::Mean, Method::Naive, Method::Drift, Method::Window(4), Method::Window(8)];
    all.extend([0.2, 0.5, 0.8].map(Method::Smooth));
    all.extend([(0.3, 0.1), (0.5, 0.3), (0.8, 0.2)].map(|(a, b)| Method::Holt(a, b)));
    if let Some(period) = period {
        all.push(Method::Seasonal(period));
        all.extend([(0.2, 0.05, 0.1), (0.4, 0.1, 0.3)].map(|(a, b, c)| Method::Winters(a, b, c, period)));
    }
    all
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_by_hand() {
        for (method, past, expected) in [
            ("mean", &[1.0, 2.0, 6.0][..], [3.0, 3.0]),
            ("naive", &[1.0, 2.0, 6.0], [6.0, 6.0]),
            ("drift", &[1.0, 2.0, 5.0], [7.0, 9.0]),
            ("seasonal 2", &[1.0, 2.0, 6.0], [2.0, 6.0]),
            ("seasonal 9", &[1.0, 2.0, 6.0], [6.0, 6.0]),
            ("window 2", &[1.0, 2.0, 6.0], [4.0, 4.0]),
            ("smooth 0.5", &[0.0, 2.0, 3.0], [2.0, 2.0]),
            ("holt 1 1", &[1.0, 3.0, 4.0], [5.0, 6.0]),
            ("winters 0.5 0.5 0.5 2", &[1.0, 3.0, 3.0, 5.0, 5.0, 7.0], [7.0, 9.0]),
        ] {
            let found = Method::read(method).unwrap();
            assert_eq!(found.to_string(), method);
            let forecast = found.forecast(past, 2);
            assert!(forecast.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{method}: {forecast:?}");
        }
        assert!((autocorrelation(&[1.0, -1.0, 1.0, -1.0], 2) - 0.5).abs() < 1e-9);
        assert_eq!(autocorrelation(&[3.0; 4], 1), 0.0);
    }

    #[test]
    fn what_is_no_method_is_explained() {
        for text in [
            "",
            "magic",
            "smooth",
            "smooth 2",
            "seasonal 0",
            "seasonal 1.5",
            "holt 0.1",
            "window inf",
            "mean 3",
            "smooth nan",
        ] {
            assert!(Method::read(text).is_err(), "{text}");
        }
    }
}
