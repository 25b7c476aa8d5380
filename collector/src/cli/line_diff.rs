//! The lines in which two texts differ.

/// Lines that are compared with each other, after those that are equal at both ends. Beyond this all of them count as changed.
const MOST: usize = 2_000;

/// The lines that differ: `-` is only in the old text, `+` only in the new one. In the order of the texts.
pub(super) fn line_diff(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    if old.len() <= MOST && new.len() <= MOST {
        let common = common(old, new);
        while i < old.len() && j < new.len() {
            if old[i] == new[j] {
                (i, j) = (i + 1, j + 1);
            } else if common[i + 1][j] >= common[i][j + 1] {
                lines.push(format!("-{}", old[i]));
                i += 1;
            } else {
                lines.push(format!("+{}", new[j]));
                j += 1;
            }
        }
    }
    lines.extend(old[i..].iter().map(|line| format!("-{line}")));
    lines.extend(new[j..].iter().map(|line| format!("+{line}")));
    lines
}

/// For each pair of places, the length of the longest sequence that both texts have from there on.
fn common(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut common = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_differ_are_listed_in_the_order_of_the_texts() {
        assert_eq!(line_diff("a\nb\nc\nd\n", "a\nc\nx\nd\ne\n"), ["-b", "+x", "+e"]);
        assert_eq!(line_diff("a\n", "a\n"), Vec::<String>::new());
        assert_eq!(line_diff("", "a\nb"), ["+a", "+b"]);
        let long: String = (0..3_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(line_diff(&long, &long.replace("1500\n", "x\n")), ["-1500", "+x"]);
    }
}
