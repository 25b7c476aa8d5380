//! With a provider that lies: each lie is refused in its own words, on the page and in the log, and nobody is let in.

use anyhow::{Context as _, Result};
use muster_tests::lab::Lab;
use muster_tests::web_client::WebAnswer;

use super::person::{Person, parameter};
use super::provider::{Lie, LyingProvider};
use super::{ORIGIN, ledger, log_line, settings};

struct Scene {
    provider: LyingProvider,
    lab: Lab,
    person: Person,
}

impl Scene {
    fn start() -> Result<Self> {
        let provider = LyingProvider::start()?;
        provider.groups(&["root", "everywhere"]);
        let settings = settings(&provider.issuer, &provider.site.ca(), provider.site.folder())?;
        let lab = Lab::start_with_own_clock(&settings)?;
        let person = Person::new(&lab, &provider.issuer, &provider.site.ca())?;
        Ok(Self { provider, lab, person })
    }

    /// Moves the clock of the collector, and of what the provider signs.
    fn later(&self, seconds: u64) -> Result<()> {
        self.provider.ahead(seconds);
        self.lab.later(seconds)
    }

    /// Begins a login; returns the address of the callback that the provider would lead to.
    fn begin(&mut self, form: &str) -> Result<String> {
        let address = self.person.begin(form)?;
        let part = |name: &str| parameter(&address, name).with_context(|| format!("no {name} in {address}"));
        self.provider.nonce(&part("nonce")?);
        Ok(format!("{ORIGIN}/login/provider/callback?code=c0de&state={}", part("state")?))
    }

    fn log_in(&mut self, form: &str) -> Result<WebAnswer> {
        let callback = self.begin(form)?;
        self.person.get(&callback)
    }

    /// The answer refuses with these words on the page and in the log, and shows no token and no code.
    fn refuses(&mut self, answer: &WebAnswer, status: u16, words: &str, logged: &str) -> Result<()> {
        assert_eq!(answer.status, status, "{words}: {}", answer.text);
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
        assert!(!answer.head.contains("__Host-muster-") || answer.head.contains("muster-login"), "{}", answer.head);
        let line = log_line(&mut self.lab, &answer.text)?;
        assert!(line.contains(logged), "{logged}: {line}");
        for secret in ["eyJ", "c0de", super::SECRET] {
            assert!(!answer.text.contains(secret) && !line.contains(secret), "{secret}: {} {line}", answer.text);
        }
        assert!(!answer.text.contains("panicked") && !answer.text.contains(".rs:"), "{}", answer.text);
        assert_eq!(self.person.get(&format!("{ORIGIN}/about"))?.status, 303, "nobody is logged in");
        Ok(())
    }
}

#[test]
fn a_provider_that_is_down_or_describes_itself_wrongly_lets_nobody_in() -> Result<()> {
    let mut scene = Scene::start()?;
    let begin = format!("{ORIGIN}/login/provider");
    let cases = [
        (Lie::Silent, 503, "The identity provider cannot be reached.", "the provider does not answer"),
        (Lie::OtherDescription, 502, "does not match the settings", "names another issuer"),
        (Lie::Endless, 502, "answer cannot be read", "more than"),
        (Lie::Elsewhere, 502, "answer cannot be read", "status 302"),
    ];
    for (at, (lie, status, words, logged)) in (0..).zip(cases) {
        // The provider is left alone for a second after a failure.
        scene.later(at * 2)?;
        scene.provider.lie(lie);
        let answer = scene.person.post(&begin, "next=/")?;
        let logged = if lie == Lie::Silent { "cannot be reached" } else { logged };
        scene.refuses(&answer, status, words, logged)?;
    }
    scene.later(60)?;
    scene.provider.lie(Lie::None);
    let answer = scene.log_in("next=/hosts")?;
    assert_eq!((answer.status, answer.header("location")), (303, "/hosts"), "{}", answer.text);
    assert_eq!(scene.person.get(&format!("{ORIGIN}/about"))?.status, 200);
    Ok(())
}

#[test]
fn each_lie_of_a_token_is_refused_in_its_own_words() -> Result<()> {
    let mut scene = Scene::start()?;
    for (lie, words) in [
        (Lie::Issuer, "it was issued by another issuer"),
        (Lie::Audience, "it is for another client"),
        (Lie::Nonce, "it belongs to another login (nonce)"),
        (Lie::Expired, "it has expired"),
        (Lie::AlgNone, "it is not signed (alg: none)"),
        (Lie::SharedSecret, "it is signed with an algorithm that is not accepted"),
        (Lie::UnknownKey, "it is signed with a key that the provider does not publish"),
        (Lie::Signature, "its signature is wrong"),
        (Lie::NoToken, "there is no ID token in the answer"),
    ] {
        scene.provider.lie(lie);
        let answer = scene.log_in("next=/")?;
        scene.refuses(&answer, 502, words, words)?;
    }
    for (lie, status, words, logged) in [
        (Lie::Refuses, 502, "did not accept this login", "invalid_grant"),
        (Lie::Garbage, 502, "answer cannot be read", "its tokens cannot be read"),
        (Lie::Silent, 503, "cannot be reached", "cannot be reached"),
        (Lie::NoGroups, 403, "does not say in which groups you are", "the provider says nothing about groups"),
    ] {
        scene.provider.lie(lie);
        let answer = scene.log_in("next=/")?;
        scene.refuses(&answer, status, words, logged)?;
    }
    scene.provider.lie(Lie::None);
    scene.provider.groups(&["root"]);
    let answer = scene.log_in("next=/")?;
    scene.refuses(&answer, 403, "none of your groups has a site", "no group with a site")?;
    assert!(ledger(&scene.lab, "session-opened")?.is_empty(), "nobody came in");
    scene.provider.groups(&["root", "everywhere"]);
    assert_eq!(scene.log_in("next=/")?.status, 303);
    Ok(())
}

#[test]
fn keys_are_asked_for_again_when_they_change_and_at_most_once_a_minute() -> Result<()> {
    let mut scene = Scene::start()?;
    assert_eq!((scene.log_in("next=/")?.status, scene.provider.keys_asked()), (303, 1));
    scene.person.post(&format!("{ORIGIN}/logout"), "")?;
    scene.later(61)?;
    scene.provider.lie(Lie::UnknownKey);
    for _ in 0..3 {
        assert_eq!(scene.log_in("next=/")?.status, 502);
    }
    assert_eq!(scene.provider.keys_asked(), 2, "once for three tokens");
    scene.provider.lie(Lie::None);
    scene.provider.changes_key()?;
    assert_eq!(scene.log_in("next=/")?.status, 502, "they were asked for within this minute");
    scene.later(125)?;
    assert_eq!((scene.log_in("next=/")?.status, scene.provider.keys_asked()), (303, 3));
    Ok(())
}

#[test]
fn a_login_belongs_to_one_browser_and_one_answer() -> Result<()> {
    let mut scene = Scene::start()?;
    let callback = scene.begin("next=/")?;
    // Another browser, a changed state, an answer of another issuer, and no cookie.
    let mut stranger = Person::new(&scene.lab, &scene.provider.issuer, &scene.provider.site.ca())?;
    let answer = stranger.get(&callback)?;
    scene.refuses(&answer, 400, "not begun in this browser", "no cookie")?;
    stranger.begin("next=/")?;
    let answer = stranger.get(&callback)?;
    scene.refuses(&answer, 400, "does not belong to the login", "another state")?;
    let answer = scene.person.get(&format!("{ORIGIN}/login/provider/callback?code=c0de&state=x"))?;
    scene.refuses(&answer, 400, "does not belong to the login", "another state")?;
    let answer = scene.person.get(&format!("{callback}&admin=1"))?;
    scene.refuses(&answer, 400, "does not belong to the login", "other parts")?;
    let answer = scene.person.get(&callback)?;
    assert_eq!(answer.status, 303, "{}", answer.text);
    scene.person.post(&format!("{ORIGIN}/logout"), "")?;
    // Only once, not late, and not if the provider says no.
    let callback = scene.begin("next=/")?;
    let answer = scene.person.get(&format!("{callback}&iss=https%3A%2F%2Fevil.example"))?;
    scene.refuses(&answer, 400, "does not belong to the login", "another issuer")?;
    let answer = scene.person.get(&callback)?;
    scene.refuses(&answer, 410, "was finished already", "used or over")?;
    let callback = scene.begin("next=/")?.replace("code=c0de", "error=access_denied");
    let answer = scene.person.get(&callback)?;
    scene.refuses(&answer, 403, "has not logged you in (access_denied)", "access_denied")?;
    let callback = scene.begin("next=/")?;
    scene.later(601)?;
    let answer = scene.person.get(&callback)?;
    scene.refuses(&answer, 410, "longer than ten minutes", "used or over")?;
    // A page of another site is no page to go to, and none begins a login.
    assert_eq!(scene.log_in("next=//evil.example")?.header("location"), "/");
    scene.person.forget_cookies(ORIGIN);
    assert_eq!(scene.person.get(&format!("{ORIGIN}/login/provider"))?.status, 405);
    Ok(())
}

#[test]
fn what_is_sensitive_asks_the_provider_for_a_new_login() -> Result<()> {
    const ORDER: &str = "us-bis-icts-2021-002";
    let mut scene = Scene::start()?;
    let (page, off) = (format!("{ORIGIN}/orders/{ORDER}"), "switch=off");
    // The provider knew the person already: that is enough to look, and not to act.
    scene.provider.lie(Lie::Old);
    assert_eq!(scene.log_in("next=/")?.status, 303);
    assert_eq!(scene.person.get(&page)?.status, 200);
    let refused = scene.person.post(&page, off)?;
    assert!(refused.status == 303 && refused.header("location").contains("again=1"), "{}", refused.head);
    let form = scene.person.get(&format!("{ORIGIN}{}", refused.header("location")))?.page()?;
    let hidden = |name: &str| form.all("input").into_iter().find(|input| input.attribute("name") == Some(name));
    assert!(hidden("again").is_some(), "the form asks the provider to ask again");
    let again = format!("again=1&next=%2Forders%2F{ORDER}");
    let address = scene.person.begin(&again)?;
    assert!(address.contains("prompt=login") && address.contains("max_age=0"), "{address}");
    // It must say that it has asked.
    for (lie, words) in
        [(Lie::Old, "the person has not logged in again"), (Lie::NoTime, "it does not say when the person logged in")]
    {
        scene.provider.lie(lie);
        let answer = scene.log_in(&again)?;
        assert!(answer.status == 502 && answer.text.contains(words), "{} {}", answer.status, answer.text);
        assert!(log_line(&mut scene.lab, &answer.text)?.contains(words));
    }
    assert!(scene.person.post(&page, off)?.header("location").contains("again=1"), "still");
    scene.provider.lie(Lie::None);
    let answer = scene.log_in(&again)?;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, format!("/orders/{ORDER}").as_str()),
        "{}",
        answer.text
    );
    assert_eq!(scene.person.post(&page, off)?.header("location"), format!("/orders/{ORDER}"));
    assert_eq!(ledger(&scene.lab, "order-deactivated")?.len(), 1);
    // A quarter of an hour later it is old again.
    scene.later(16 * 60)?;
    assert!(scene.person.post(&page, "switch=on")?.header("location").contains("again=1"));
    Ok(())
}
