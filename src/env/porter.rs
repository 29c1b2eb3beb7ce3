//! The Porter stemmer: English words to a common stem (`relational` and `relate` to `relat`).
//!
//! M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the two departures of its author's
//! later releases that search engines use: `bli` and `logi` in step 2. Words of one or two letters stay.

/// Reduces a lower-case word to its stem, in place.
pub fn stem(word: &mut Vec<char>) {
    if word.len() <= 2 {
        return;
    }
    let mut stem = Stem { word };
    stem.plurals();
    stem.past();
    stem.final_y();
    stem.replace_first(STEP_2, 0);
    stem.replace_first(STEP_3, 0);
    stem.drop_suffix();
    stem.final_e();
}

struct Stem<'a> {
    word: &'a mut Vec<char>,
}

type Rules = &'static [(&'static str, &'static str)];

/// The first row whose suffix fits is the only one tried, as in the original's switch.
const STEP_2: Rules = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const STEP_3: Rules =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

impl Stem<'_> {
    /// Step 1a: `caresses` to `caress`, `ponies` to `poni`, `cats` to `cat`.
    fn plurals(&mut self) {
        if self.ends("sses").is_some() || self.ends("ies").is_some() {
            self.cut(2);
        } else if self.ends("s").is_some() && self.ends("ss").is_none() {
            self.cut(1);
        }
    }

    /// Step 1b: `agreed` to `agree`, `plastered` to `plaster`, `hopping` to `hop`, `filing` to `file`.
    fn past(&mut self) {
        if let Some(stem) = self.ends("eed") {
            if self.measure(stem) > 0 {
                self.cut(1);
            }
            return;
        }
        let Some(stem) = self.ends("ed").or_else(|| self.ends("ing")).filter(|&stem| self.has_vowel(stem)) else {
            return;
        };
        self.word.truncate(stem);
        if ["at", "bl", "iz"].iter().any(|end| self.ends(end).is_some()) {
            self.word.push('e');
        } else if self.double_consonant() {
            if !self.word.last().is_some_and(|c| "lsz".contains(*c)) {
                self.cut(1);
            }
        } else if self.measure(self.word.len()) == 1 && self.short(self.word.len()) {
            self.word.push('e');
        }
    }

    /// Step 1c: `happy` to `happi`, but `sky` stays.
    fn final_y(&mut self) {
        if self.ends("y").is_some_and(|stem| self.has_vowel(stem)) {
            self.cut(1);
            self.word.push('i');
        }
    }

    /// Steps 2 and 3.
    fn replace_first(&mut self, rules: Rules, above: usize) {
        let found = rules.iter().find_map(|(suffix, new)| Some((self.ends(suffix)?, new)));
        if let Some((stem, new)) = found.filter(|&(stem, _)| self.measure(stem) > above) {
            self.word.truncate(stem);
            self.word.extend(new.chars());
        }
    }

    /// Step 4: `adjustment` to `adjust`; `ion` only goes after `s` or `t`.
    fn drop_suffix(&mut self) {
        let fits = |suffix: &&str| {
            let stem = self.ends(suffix)?;
            let before = |c: &char| "st".contains(*c);
            let kept = *suffix == "ion" && !self.word[..stem].last().is_some_and(before);
            (!kept).then_some(stem)
        };
        if let Some(stem) = STEP_4.iter().find_map(fits).filter(|&stem| self.measure(stem) > 1) {
            self.word.truncate(stem);
        }
    }

    /// Step 5: `probate` to `probat`, `controll` to `control`.
    fn final_e(&mut self) {
        let measure = self.measure(self.word.len());
        if let Some(stem) = self.ends("e")
            && (measure > 1 || measure == 1 && !self.short(stem))
        {
            self.cut(1);
        }
        if self.ends("l").is_some() && self.double_consonant() && measure > 1 {
            self.cut(1);
        }
    }

    /// Length of what stands before the suffix, if the word ends in it.
    fn ends(&self, suffix: &str) -> Option<usize> {
        let stem = self.word.len().checked_sub(suffix.len())?; // suffixes are ASCII
        self.word[stem..].iter().copied().eq(suffix.chars()).then_some(stem)
    }

    fn cut(&mut self, letters: usize) {
        self.word.truncate(self.word.len() - letters);
    }

    fn consonant(&self, at: usize) -> bool {
        match self.word[at] {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => at == 0 || !self.consonant(at - 1),
            _ => true,
        }
    }

    /// Number of vowel-consonant sequences in the first `end` letters: the `m` of the paper.
    fn measure(&self, end: usize) -> usize {
        (1..end).filter(|&i| self.consonant(i) && !self.consonant(i - 1)).count()
    }

    fn has_vowel(&self, end: usize) -> bool {
        (0..end).any(|i| !self.consonant(i))
    }

    fn double_consonant(&self) -> bool {
        let n = self.word.len();
        n >= 2 && self.word[n - 1] == self.word[n - 2] && self.consonant(n - 1)
    }

    /// Whether the first `end` letters end in consonant, vowel, consonant, and the last is not `w`, `x` or `y`.
    fn short(&self, end: usize) -> bool {
        end >= 3
            && self.consonant(end - 3)
            && !self.consonant(end - 2)
            && self.consonant(end - 1)
            && !"wxy".contains(self.word[end - 1])
    }
}

#[cfg(test)]
mod tests {
    /// The examples of the paper, and words that pass several steps.
    #[test]
    fn paper_examples() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("vietnamization", "vietnam"),
            ("formality", "formal"),
            ("sensibility", "sensibl"),
            ("triplicate", "triplic"),
            ("goodness", "good"),
            ("revival", "reviv"),
            ("adoption", "adopt"),
            ("replacement", "replac"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
            ("generalizations", "gener"),
            ("oscillators", "oscil"),
            ("is", "is"),
        ] {
            let mut found = word.chars().collect();
            super::stem(&mut found);
            assert_eq!(found.iter().collect::<String>(), expected, "{word}");
        }
    }
}
