"""Refusals are caught in 52 languages; definitions, letters and stories are not."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bactrian import languages, text
from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.refusal import refusal
from bactrian.schema import Flag
from bactrian.written.refusals import find_refusal, phrases

MakeRow = Callable[..., Checked]
CODES = [one.code for one in languages.all_languages()]
FIRST = 200

REFUSALS = [
    ("en", "As an AI language model, I do not have personal opinions."),
    ("en", "I’m sorry, but I can’t help with that request."),
    ("af", "Jammer, maar ek kan nie met hierdie versoek help nie."),
    ("ar", "عذراً، لا يمكنني مساعدتك في هذا الطلب."),
    ("ar", "بصفتي نموذجًا لغويًا، ليس لدي مشاعر شخصية."),
    ("az", "Üzr istəyirəm, lakin mən bu suala cavab verə bilmərəm."),
    ("bn", "দুঃখিত, আমি এই অনুরোধটি পূরণ করতে পারব না।"),
    ("cs", "Omlouvám se, ale nemohu vám s tím pomoci."),
    ("cs", "Jako umělá inteligence nemám vlastní názory."),
    ("de", "Es tut mir leid, aber ich kann diese Anfrage nicht beantworten."),
    ("de", "Als KI-Sprachmodell habe ich keine eigene Meinung."),
    ("es", "Lo siento, pero no puedo ayudarte con esa petición."),
    ("es", "Como modelo de lenguaje, no tengo opiniones propias."),
    ("et", "Vabandust, aga ma ei saa selle palvega aidata."),
    ("fa", "متأسفم، اما نمی‌توانم به این درخواست پاسخ دهم."),
    ("fa", "به عنوان یک مدل زبانی، من احساسات ندارم."),
    ("fi", "Olen pahoillani, mutta en voi auttaa tässä asiassa."),
    ("fi", "Tekoälynä minulla ei ole tunteita."),
    ("fr", "Je suis désolé, mais je ne peux pas répondre à cette demande."),
    ("fr", "En tant que modèle de langage développé pour aider, je ne peux pas juger."),
    ("gl", "Síntoo, pero non podo axudarche con iso."),
    ("gu", "માફ કરશો, પરંતુ હું આ વિનંતી પૂરી કરી શકતો નથી."),
    ("he", "אני מצטער, אבל אני לא יכול לעזור בבקשה הזאת."),
    ("hi", "क्षमा करें, लेकिन मैं इस अनुरोध को पूरा नहीं कर सकता।"),
    ("hi", "एक एआई भाषा मॉडल के रूप में, मेरी कोई व्यक्तिगत राय नहीं है।"),
    ("hr", "Žao mi je, ali ne mogu pomoći s tim zahtjevom."),
    ("id", "Maaf, saya tidak dapat memenuhi permintaan tersebut."),
    ("id", "Sebagai AI, saya tidak memiliki perasaan."),
    ("it", "Mi dispiace, ma non posso aiutarti con questa richiesta."),
    ("ja", "申し訳ありませんが、そのご質問にはお答えできません。"),
    ("ja", "私はAI言語モデルですので、感情はありません。"),
    ("ka", "ბოდიში, მაგრამ ამ მოთხოვნას ვერ შევასრულებ."),
    ("kk", "Кешіріңіз, бірақ мен бұл сұрақға жауап бере алмаймын."),
    ("km", "សូមអភ័យទោស ប៉ុន្តែខ្ញុំមិនអាចជួយអ្នកក្នុងរឿងនេះបានទេ។"),
    ("km", "ក្នុងនាមជាគំរូភាសា AI ខ្ញុំមិនមានអារម្មណ៍ទេ។"),
    ("ko", "죄송하지만 그 요청은 도와드릴 수 없습니다."),
    ("ko", "AI 언어 모델로서 저는 감정이 없습니다."),
    ("lt", "Atsiprašau, bet negaliu padėti su šiuo prašymu."),
    ("lv", "Atvainojiet, bet es nevaru palīdzēt ar šo pieprasījumu."),
    ("mk", "Жал ми е, но не можам да помогнам со тоа."),
    ("ml", "ക്ഷമിക്കണം, എനിക്ക് ഈ അഭ്യർത്ഥന നിറവേറ്റാൻ കഴിയില്ല."),
    ("mn", "Уучлаарай, би энэ хүсэлтийг биелүүлж чадахгүй."),
    ("mr", "माफ करा, मी ही विनंती पूर्ण करू शकत नाही."),
    ("my", "တောင်းပန်ပါတယ်၊ ကျွန်တော် ဒီတောင်းဆိုမှုကို ကူညီမပေးနိုင်ပါဘူး။"),
    ("ne", "माफ गर्नुहोस्, म यो अनुरोध पूरा गर्न सक्दिन।"),
    ("nl", "Het spijt me, maar ik kan je daar niet bij helpen."),
    ("nl", "Als AI-taalmodel heb ik geen mening."),
    ("pl", "Przepraszam, ale nie mogę pomóc w tej sprawie."),
    ("ps", "بخښنه غواړم، خو زه په دې کې مرسته نشم کولی."),
    ("pt", "Desculpe, mas não posso ajudar com esse pedido."),
    ("ro", "Îmi pare rău, dar nu pot să te ajut cu această cerere."),
    ("ru", "Извините, но я не могу выполнить эту просьбу."),
    ("ru", "Как языковая модель, я не имею собственного мнения."),
    ("si", "සමාවන්න, නමුත් මට එම ඉල්ලීම ඉටු කළ නොහැක."),
    ("sl", "Žal mi je, vendar ne morem pomagati pri tem."),
    ("sv", "Jag är ledsen, men jag kan inte hjälpa till med det."),
    ("sw", "Samahani, siwezi kusaidia na ombi hilo."),
    ("ta", "மன்னிக்கவும், என்னால் இந்தக் கோரிக்கையை நிறைவேற்ற முடியாது."),
    ("te", "క్షమించండి, నేను ఈ అభ్యర్థనను నెరవేర్చలేను."),
    ("th", "ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้"),
    ("th", "ในฐานะโมเดลภาษา AI ฉันไม่มีความรู้สึก"),
    ("tl", "Paumanhin, ngunit hindi ko kayang gawin ang kahilingang iyan."),
    ("tr", "Üzgünüm, ancak bu konuda size yardımcı olamam."),
    ("tr", "Bir yapay zekâ dil modeli olarak duygularım yok. Ben bir yapay zekâ modeliyim."),
    ("uk", "Вибачте, але я не можу виконати це прохання."),
    ("ur", "معذرت، لیکن میں اس درخواست کو پورا نہیں کر سکتا۔"),
    ("vi", "Xin lỗi, tôi không thể giúp bạn với yêu cầu này."),
    ("vi", "Là một mô hình ngôn ngữ AI, tôi không có cảm xúc."),
    ("xh", "Uxolo, andikwazi ukunceda ngesi sicelo."),
    ("zh", "很抱歉，我无法满足您的这个要求。"),
    ("zh", "作为一个 AI 语言模型，我没有个人观点。"),
]

ANSWERS = [
    ("en", "Artificial intelligence is the study of machines that learn."),
    ("en", "Dear Anna, I'm sorry I forgot your birthday. It will not happen again."),
    ("en", "As a virtual assistant, I managed calendars and travel for four years."),
    ("de", "Als künstliche Intelligenz bezeichnet man Systeme, die aus Daten lernen."),
    ("de", "Es tut mir leid, dass ich deinen Geburtstag vergessen habe."),
    ("fr", "Un modèle de langage attribue une probabilité à une suite de mots."),
    ("es", "Lo siento mucho, he llegado tarde por el tráfico."),
    ("bn", "দুঃখিত, আমি তোমার জন্মদিন ভুলে গিয়েছিলাম।"),
    ("hi", "क्षमा करें, मैं आपका जन्मदिन भूल गया था।"),
    ("ja", "申し訳ありませんが、会議は三時からになります。"),
    ("ko", "죄송하지만 회의 시간이 세 시로 바뀌었습니다."),
    ("tr", "Üzgünüm, dün gece doğum gününü unuttum."),
    ("ta", "மன்னிக்கவும், நான் உங்கள் பிறந்தநாளை மறந்துவிட்டேன்."),
    ("th", "ขอโทษที่มาสาย รถติดมาก"),
    ("zh", "作为人工智能的一个分支，机器学习研究如何从数据中学习。"),
    ("zh", "抱歉，我昨天忘了你的生日。"),
    ("ru", "Искусственный интеллект — область информатики."),
    ("fa", "متأسفم که دیروز تولدت را فراموش کردم."),
    ("ar", "عذرا على التأخير، كان الطريق مزدحما."),
    ("vi", "Xin lỗi, tôi đã quên sinh nhật của bạn."),
]


def look(row: Checked) -> Flag | None:
    return refusal(row, CheckSettings())


@pytest.mark.parametrize(("code", "answer"), REFUSALS)
def test_refusals_are_rejected_with_their_words(code: str, answer: str, make_row: MakeRow) -> None:
    assert look(make_row(code)) is None
    found = look(make_row(code, output=answer))
    assert found is not None
    assert (found.severity, found.field) == ("reject", "output")
    assert found.evidence
    assert answer[found.start :].lstrip().startswith(found.evidence)


def test_every_language_is_among_the_refusals() -> None:
    assert {code for code, _ in REFUSALS} == set(CODES)


@pytest.mark.parametrize(("code", "answer"), ANSWERS)
def test_answers_pass(code: str, answer: str, make_row: MakeRow) -> None:
    assert look(make_row(code, output=answer)) is None


@pytest.mark.parametrize("code", CODES)
def test_no_sentence_in_any_language_is_a_refusal(code: str, flores: dict[str, list[str]]) -> None:
    assert all(find_refusal(sentence, code, FIRST) is None for sentence in flores[code])


@pytest.mark.parametrize("code", CODES)
def test_each_phrase_is_well_written_and_found(code: str) -> None:
    known = phrases(code)
    script = languages.get(code).script
    assert known.anywhere and known.opens
    for stem in (*known.anywhere, *known.opens):
        assert stem == unicodedata.normalize("NFC", stem) == stem.casefold()
        assert text.script_share(stem.replace("ai", ""), script) > 0.6
        spoken = stem.replace("…", "x").upper() if script == "Latn" else stem.replace("…", "")
        if "İ" not in spoken and "I" not in spoken:  # upper and lower case of i differ in Turkish
            assert find_refusal(spoken.rstrip(",") + ", ...", code, FIRST) is not None
    for stem in known.opens:
        assert find_refusal(f"42 + {stem.replace('…', '')}", code, FIRST) is None


@pytest.mark.parametrize("code", CODES)
def test_english_phrases_count_in_every_language(code: str, make_row: MakeRow) -> None:
    answer = "As an AI language model, I cannot feel."
    found = look(make_row(code, output=answer, source_output="Feelings are many."))
    assert found is not None
    assert found.evidence == "As an AI language model"


def test_what_the_source_refuses_as_well_only_gets_a_warning(make_row: MakeRow) -> None:
    refused = {"output": "Lo siento, pero no puedo cantar.", "source_output": "I cannot sing."}
    assert look(make_row("es", **refused)) is not None
    refused["source_output"] = "I'm sorry, but I cannot sing."
    found = look(make_row("es", **refused))
    assert found is not None
    assert found.severity == "warn"
    english = look(make_row("en", output=refused["source_output"], source_output=""))
    assert english is not None
    assert english.severity == "reject"


def test_only_the_start_is_read(flores: dict[str, list[str]], make_row: MakeRow) -> None:
    late = " ".join(flores["zh"] * 3) + "作为一个AI语言模型，我没有观点。"
    assert look(make_row("zh", output=late)) is None
    soon = f"{flores['zh'][2]} 作为一个AI语言模型，我没有观点。"
    found = look(make_row("zh", output=soon))
    assert found is not None
    assert soon[found.start :].startswith("作为一个AI语言模型")


@pytest.mark.parametrize(
    "spelling",
    ["نمی‌توانم", "نمی توانم"],
)
def test_invisible_joiners_make_no_difference(spelling: str, make_row: MakeRow) -> None:
    assert look(make_row("fa", output=f"متأسفم، اما {spelling} کمک کنم.")) is not None


def test_real_english_answers_hardly_refuse(shared: Callable[[str], Iterator[Any]]) -> None:
    rows = list(shared("alpaca/alpaca_data.json.gz"))
    found = [row for row in rows if find_refusal(row["output"], "en", FIRST)]
    assert 1 <= len(found) <= 3, "one answer does: it was read"
