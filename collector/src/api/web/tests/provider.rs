//! A collector without an identity provider. Those with one are in the end-to-end tests (`web::oidc`).

use http::StatusCode;

use super::kit::Lab;

#[tokio::test]
async fn without_a_provider_nobody_is_led_to_one() {
    let lab = Lab::empty().await;
    let form = lab.get("/login", None).await.html();
    let to_provider = |form: &muster_strict_html::Element| form.attribute("action") == Some("/login/provider");
    assert!(!form.all("form").into_iter().any(to_provider), "only those of tokens and passwords");
    let begun = lab.post("/login/provider", "next=/", None).await;
    assert_eq!(begun.status, StatusCode::NOT_FOUND);
    assert!(begun.html().text().contains("This collector has no identity provider"), "{}", begun.text);
    assert_eq!(lab.get("/login/provider/callback?code=x&state=y", None).await.status, StatusCode::NOT_FOUND);
    let forged = lab.post_from("/login/provider", "next=/", None, Some("cross-site")).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}
