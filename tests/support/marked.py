"""Credentials with a mark: no text that a program writes may contain it."""

MARK = "MARKED"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAMARKED0000000001",
    "AWS_SECRET_ACCESS_KEY": "MARKED/secret+\"'key=02",
    "AWS_SESSION_TOKEN": "MARKED-session-token-03",
    "HF_TOKEN": "hf_MARKEDtokenMARKED04",
    "AWS_ENDPOINT_URL_S3": "http://MARKEDuser:MARKEDpassword05@127.0.0.1:9",
}


def plant(monkeypatch):
    """Put the credentials into the environment."""
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)


def quote_all():
    """Return the text of a library's error that quotes all credentials, plainly and as Python writes them."""
    return " ".join([f"{value} {value!r} Bearer {value}" for value in CREDENTIALS.values()])
