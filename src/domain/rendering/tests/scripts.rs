//! Writing systems, and characters that take more than one code point.

use super::*;

#[test]
fn japanese_is_broken_by_its_own_rules_and_counts_double() {
    let text = "本日は|お集まり|いただき、|ありがとう|ございます。|それでは|会議を|始めたいと|思います。|よろしく|お願いします。";
    let wishes = narrow(16, 2);
    let captions = srt(&result([said(0.0, text)]), &wishes);
    assert_within(&captions, wishes.limits);
    for row in rows(&captions) {
        assert!(!row.starts_with(['。', '、']), "{row}");
        assert!(!row.contains(' '), "{row}");
    }
    assert_eq!(rows(&captions).concat(), text.replace('|', ""));
    assert!(captions.len() > 2);
}

#[test]
fn thai_is_broken_between_its_words() {
    let text = "ภาษาไทยเป็นภาษาที่ไม่มีช่องว่างระหว่างคำ";
    let wishes = narrow(12, 2);
    let captions = srt(&result([said(0.0, text)]), &wishes);
    assert_within(&captions, wishes.limits);
    assert_eq!(rows(&captions).concat(), text);
    for row in rows(&captions) {
        // Vowels and tones that stand above or below belong to the letter before.
        assert!(!row.starts_with(['ั', 'ิ', 'ี', '่', '้', '็']), "{row}");
    }
    assert_eq!(rows(&captions)[0], "ภาษาไทยเป็น");
}

#[test]
fn an_emoji_never_comes_apart() {
    let family = "👩‍👩‍👧‍👦";
    let text = family.repeat(7);
    let wishes = narrow(5, 2);
    let captions = srt(&result([said(0.0, &text)]), &wishes);
    assert_within(&captions, wishes.limits);
    for row in rows(&captions) {
        assert_eq!(row.replace(family, ""), "");
    }
    assert_eq!(rows(&captions).concat(), text);
}

#[test]
fn an_accent_stays_with_its_letter() {
    let text = "e\u{301}".repeat(10);
    let captions = srt(&result([said(0.0, &text)]), &narrow(3, 1));
    for row in rows(&captions) {
        assert!(row.starts_with('e'), "{row:?}");
    }
    assert_eq!(rows(&captions).concat(), text);
}

#[test]
fn arabic_stays_in_the_order_in_which_it_is_said_and_a_latin_label_is_set_apart() {
    let text = "مرحبا، كيف حالك؟";
    let result = result([
        spoken(0.0, text, Some(0), None),
        spoken(4.0, "Fine.", Some(1), None),
    ]);
    let captions = srt(&result, &Wishes::default());
    assert_eq!(
        rows(&captions),
        [
            format!("\u{2068}Speaker 1\u{2069}: {text}").as_str(),
            "Speaker 2: Fine."
        ]
    );
    let mut named = Wishes::default();
    named.labels.speaker_names = [(0, "ليلى".to_owned())].into();
    assert_eq!(rows(&srt(&result, &named))[0], format!("ليلى: {text}"));
    assert_eq!(vtt(&result, &Wishes::default())[0].rows, [text]);
    assert!(super::text(&result, Format::Txt).starts_with('\u{2068}'));
}

#[test]
fn a_word_that_is_longer_than_a_row_is_broken_and_takes_its_share_of_time() {
    let utterance = json!({
        "text": "abcdefghijklmnopqrst", "start": 10.0, "end": 12.0,
        "words": [{ "word": "abcdefghijklmnopqrst", "start": 10.0, "end": 12.0 }],
    });
    let mut wishes = narrow(5, 2);
    wishes.limits.minimum_duration_ms = 0;
    let captions = srt(&result([utterance]), &wishes);
    assert_eq!(rows(&captions), ["abcde", "fghij", "klmno", "pqrst"]);
    let spans: Vec<_> = captions.iter().map(|c| (c.start_ms, c.end_ms)).collect();
    assert_eq!(spans, [(10_000, 11_000), (11_000, 12_000)]);
}

#[test]
fn french_keeps_the_spaces_before_its_signs() {
    let text = "Vraiment\u{a0}? Oui\u{202f}!";
    let captions = srt(&result([said(0.0, text)]), &narrow(11, 2));
    assert_eq!(rows(&captions), ["Vraiment\u{a0}?", "Oui\u{202f}!"]);
}

#[test]
fn korean_is_broken_at_its_spaces_alone() {
    let text =
        "안녕하세요 고객님 무엇을 도와드릴까요 주문번호를 말씀해 주시면 바로 확인해 드리겠습니다";
    for wishes in [narrow(42, 2), narrow(22, 2), narrow(14, 1)] {
        let captions = srt(&result([said(0.0, text)]), &wishes);
        assert_within(&captions, wishes.limits);
        assert_eq!(rows(&captions).join(" "), text);
    }
}

#[test]
fn each_row_runs_in_the_direction_of_the_whole() {
    let arabic = "مرحبا بكم جميعا في Northwind كيف يمكنني مساعدتك";
    let captions = srt(&result([said(0.0, arabic)]), &narrow(22, 2));
    assert_eq!(
        rows(&captions),
        [
            "مرحبا بكم جميعا في",
            "\u{200f}Northwind كيف",
            "يمكنني مساعدتك"
        ]
    );
    let result = result([
        spoken(0.0, "iPhone 15 وصل أمس إلينا", Some(0), None),
        spoken(9.0, "15 - 16.", Some(1), None),
        spoken(20.0, "שלום is what they said", Some(0), None),
    ]);
    assert_eq!(
        rows(&srt(&result, &Wishes::default())),
        [
            "\u{200f}\u{2068}Speaker 1\u{2069}: iPhone 15 وصل أمس إلينا",
            "Speaker 2: 15 - 16.",
            "Speaker 1: שלום is what they said",
        ]
    );
    let voices = vtt(&result, &Wishes::default());
    assert_eq!(voices[0].rows, ["\u{200f}iPhone 15 وصل أمس إلينا"]);
    assert_eq!(voices[2].rows, ["\u{200e}שלום is what they said"]);
}
