//! Several runs of one recipe as one: the median and the middle half of them at every step.

/// Median and quartiles over a common x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    pub x: Vec<f64>,
    pub low: Vec<f64>,
    pub median: Vec<f64>,
    pub high: Vec<f64>,
    /// Runs that have a value, at the x where most do.
    pub runs: usize,
}

/// Joins series that share their x; places that fewer than two runs have are left out.
pub fn over_seeds(series: &[&[(f64, Option<f64>)]]) -> Course {
    let mut at: Vec<(f64, f64)> = series
        .iter()
        .flat_map(|s| s.iter().filter_map(|(x, y)| Some((*x, (*y)?))))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    at.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut course = Course::default();
    for part in at.chunk_by(|a, b| a.0 == b.0) {
        let mut values: Vec<f64> = part.iter().map(|(_, y)| *y).collect();
        course.runs = course.runs.max(values.len());
        if values.len() >= 2 {
            let [low, median, high] = quartiles(&mut values);
            course.x.push(part[0].0);
            course.low.push(low);
            course.median.push(median);
            course.high.push(high);
        }
    }
    course
}

/// Lower quartile, median and upper quartile, linear between neighbours (type 7 of Hyndman and Fan, as numpy).
/// `NaN` for no values.
pub fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| {
        let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
        let place = share * last as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        values[below] + (values[above] - values[below]) * (place - place.floor())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        assert_eq!(quartiles(&mut [4.0, 1.0, 3.0, 2.0]), [1.75, 2.5, 3.25]);
        assert_eq!(quartiles(&mut [7.0]), [7.0; 3]);
        assert!(quartiles(&mut []).iter().all(|q| q.is_nan()));
    }

    #[test]
    fn seeds_join_where_at_least_two_have_a_value() {
        let a = [(1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None)];
        let b = [(1.0, Some(3.0)), (2.0, Some(f64::NAN)), (3.0, Some(5.0))];
        let c = [(1.0, Some(5.0)), (2.0, Some(4.0))];
        let course = over_seeds(&[&a, &b, &c]);
        assert_eq!((course.x, course.median, course.runs), (vec![1.0, 2.0], vec![3.0, 3.0], 3));
        assert_eq!((course.low, course.high), (vec![2.0, 2.5], vec![4.0, 3.5]));
    }
}
