"""The phrases from which support tickets are made.

A ticket is a problem (which decides the queue) and a cue (which decides the urgency), most often with an opening, a
closing or a detail that decides nothing. Training and held-out tickets come from two phrasebooks that share no pattern,
not even the name of a customer. A model that scores well on the second one has learned what the words mean, not the
sentences.

Patterns hold slots, ``{product}`` and the like; ``SLOTS`` says what goes there.
"""

from __future__ import annotations

import dataclasses

QUEUES = ("billing", "technical", "account", "shipping")
URGENCIES = ("low", "normal", "high")

SLOTS: dict[str, tuple[str, ...]] = {
    "product": (
        "headphones", "desk lamp", "coffee grinder", "camera", "smart watch", "keyboard", "speaker", "air purifier",
        "e-reader", "monitor", "toaster", "robot vacuum", "tablet", "drone", "printer", "blender", "projector",
        "router",
    ),
    "month": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    "city": (
        "Leeds", "Porto", "Ghent", "Krakow", "Austin", "Oslo", "Turin", "Lyon", "Dublin", "Malmo", "Graz", "Perth",
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Phrasebook:
    """The patterns of one split."""

    names: tuple[str, ...]
    openings: tuple[str, ...]
    problems: dict[str, tuple[str, ...]]
    cues: dict[str, tuple[str, ...]]
    details: tuple[str, ...]
    closings: tuple[str, ...]


TRAINING = Phrasebook(
    names=("Anna", "Ben", "Carla", "Deepak", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kemi", "Liam", "Mei"),
    openings=("Hi,", "Hello,", "Hey team,", "Hi there,", "Hello, {name} here.", "Good morning,"),
    problems={
        "billing": (
            "I was charged twice for the {product}.",
            "my invoice for {month} shows {amount} that I do not recognise.",
            "the refund of {amount} is still not on my bank statement.",
            "my credit card was declined although there is money on it.",
            "the bill says {amount} but the price was lower.",
            "I need an invoice with our VAT number for order {order}.",
            "why did my subscription fee go up to {amount} in {month}?",
            "you took two payments of {amount} in {month}.",
            "the discount was not taken off the price of the {product}.",
            "can I pay for the {product} in instalments?",
            "please correct the tax on invoice {order}.",
            "there is a charge of {amount} on my card that I never made.",
            "which payment methods do you take for a {product}?",
            "my direct debit for {month} failed.",
            "I paid {amount} but the receipt never came.",
            "the currency on my bill is wrong, it should be euros.",
        ),
        "technical": (
            "the app crashes when I open it.",
            "my {product} will not turn on any more.",
            "the {product} does not connect to the wifi.",
            "I get error {code} when I start the {product}.",
            "the screen of my {product} flickers.",
            "the firmware update of the {product} stops halfway.",
            "bluetooth pairing with the {product} fails.",
            "the website shows a blank page in my browser.",
            "the {product} overheats and then shuts down.",
            "the battery of the {product} drains within an hour.",
            "the {product} makes a strange noise since the software update.",
            "the sensor of my {product} shows wrong values.",
            "the app freezes on the settings page with error {code}.",
            "how do I reset the {product} to factory settings?",
            "the {product} no longer syncs with my phone.",
            "a button on the {product} stopped responding.",
        ),
        "account": (
            "I forgot my password and the reset mail does not arrive.",
            "I cannot log in with my email address.",
            "please change the email address of my profile.",
            "how do I delete my account?",
            "my account is locked after too many login attempts.",
            "the two-factor code is not accepted when I sign in.",
            "I want to merge my two accounts.",
            "someone else has logged in to my account from {city}.",
            "please change the name on my profile to {friend}.",
            "how can I add my colleague {friend} as a user?",
            "I cannot verify my phone number when I register.",
            "my username is shown with a typo.",
            "the login page says that my password is wrong.",
            "how do I turn off the newsletter in my profile?",
            "I lost my phone and cannot sign in with the code.",
            "I would like to see which personal data is stored about me in my profile.",
        ),
        "shipping": (
            "my package with the {product} has not arrived.",
            "the tracking number of order {order} does not work.",
            "the parcel was delivered to a wrong address in {city}.",
            "when will order {order} be shipped to {city}?",
            "the courier left the box in the rain.",
            "please send the {product} to my new address in {city}.",
            "the box arrived open and the {product} was missing.",
            "do you deliver to {city}?",
            "the tracking says delivered but there is no parcel.",
            "my delivery has been stuck at customs since {month}.",
            "can I pick up order {order} at a store in {city}?",
            "the driver did not ring and took the package back.",
            "how long does delivery of a {product} to {city} take?",
            "the parcel with order {order} is lost.",
            "only half of my shipment arrived in {city}.",
            "can the {product} be shipped on another day?",
        ),
    },
    cues={
        "low": (
            "No rush.",
            "Whenever you have time.",
            "It is not urgent at all.",
            "Just curious, there is no hurry.",
            "Take your time with this.",
            "This can wait for weeks.",
            "Only a small question, it is not important.",
            "I do not mind waiting.",
            "Answer when it suits you, no pressure.",
            "It is a minor thing, no need to hurry.",
            "Low priority for me.",
            "Some day is fine.",
        ),
        "normal": (
            "Please look into it this week.",
            "An answer in a few days would be good.",
            "Please let me know by the end of the week.",
            "I hope to hear from you in the next days.",
            "Could you check this within the usual time?",
            "A reply by Friday would be fine.",
            "Please get back to me in two or three days.",
            "I expect a normal reply within the week.",
            "Please handle it in the usual way.",
            "It would be nice to have it solved this week.",
            "Please answer in the coming days.",
            "Could you reply by next Monday?",
        ),
        "high": (
            "This is urgent!",
            "I need help immediately.",
            "Please fix this right now.",
            "It must be solved today.",
            "I need an answer as soon as possible, this is an emergency.",
            "This cannot wait, please act at once.",
            "Call me back within the hour, it is critical.",
            "Please hurry, I am losing money every minute.",
            "ASAP please, my whole team is blocked.",
            "Top priority, everything has stopped.",
            "I need this before tonight, it is very urgent.",
            "Help now please, this is a disaster.",
        ),
    },
    details=(
        "I have been a customer since {month}.",
        "It was a present for {friend}.",
        "My colleague {friend} has the same question.",
        "I wrote to you about it in {month}.",
        "I use it in my office in {city}.",
        "I already looked at the help pages.",
        "{friend} told me to write to you.",
        "It is the first time that this happens.",
    ),
    closings=("Thanks, {name}", "Regards, {name}", "Thank you!", "{name}", "Best, {name}"),
)

HELD_OUT = Phrasebook(
    names=("Oscar", "Priya", "Quentin", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wendy", "Yusuf", "Zoe"),
    openings=("Dear support,", "Good evening,", "Hello support team,", "Hi, this is {name}."),
    problems={
        "billing": (
            "the amount of {amount} was debited from my card two times.",
            "I never got the money back for the returned {product}.",
            "could you send me a copy of the {month} invoice?",
            "the total on the bill for order {order} is too high.",
            "my payment of {amount} was rejected by the bank.",
            "the monthly fee on my credit card is wrong.",
        ),
        "technical": (
            "since the last update the {product} keeps crashing.",
            "my {product} shows error {code} and restarts.",
            "the {product} is dead, the display stays black.",
            "the app does not load, it hangs with a white screen.",
            "my {product} loses the wifi connection all the time.",
            "the {product} does not charge and the battery is empty.",
        ),
        "account": (
            "my password no longer works and I am locked out.",
            "logging in fails, it says my user does not exist.",
            "I want to use another email address to sign in.",
            "please close my account and remove my profile.",
            "I do not receive the code to verify my login.",
            "I think that my account was hacked, the password is changed.",
        ),
        "shipping": (
            "where is my parcel? Order {order} should have been here.",
            "the {product} was sent to the wrong street in {city}.",
            "the courier never came with my {product}.",
            "the package was damaged during delivery.",
            "there has been no tracking update for order {order} since {city}.",
            "can you ship order {order} to {city} instead?",
        ),
    },
    cues={
        "low": (
            "There is no hurry at all.",
            "Please do not rush, it is not important.",
            "I can wait, reply whenever you like.",
            "Not urgent, only a minor question.",
            "Take all the time you need.",
        ),
        "normal": (
            "I would like an answer within a few days.",
            "Please check it by the end of this week.",
            "A response in the next two or three days is fine.",
            "Could somebody look at it this week?",
            "Please come back to me by Thursday.",
        ),
        "high": (
            "Please help me right away, it is urgent!",
            "I need a solution immediately.",
            "This is an emergency, answer now.",
            "It has to be fixed today, as fast as possible.",
            "Very urgent, I cannot wait any longer!",
        ),
    },
    details=(
        "I asked {friend} and could not find out more.",
        "We moved to {city} in {month}.",
        "My neighbour {friend} had that, too.",
        "I could not find it in your FAQ.",
        "So far I was always happy with your shop.",
    ),
    closings=("Many thanks, {name}", "Kind regards, {name}", "Cheers, {name}"),
)

# Gift cards went on sale after the data above was collected, so neither phrasebook knows them. Live traffic does.
GIFT_CARDS_TRAINING = (
    "how do I redeem a gift card for a {product}?",
    "my gift card over {amount} is not accepted.",
    "can I send a gift card to {friend} in {city}?",
    "the code on the gift card cannot be read.",
    "I would like to buy ten gift cards for my team.",
    "how long is a gift card valid?",
    "the gift card that I bought in {month} has not come by mail.",
    "what is left on my gift card after order {order}?",
    "can I use two gift cards for one {product}?",
    "I lost the gift card that I got for my birthday.",
    "please change the amount on the gift card to {amount}.",
    "is there a gift card that can be printed at home?",
)
GIFT_CARDS_LIVE = (
    "the shop does not take my gift card.",
    "where do I enter the number of the gift card?",
    "I want to give a gift card over {amount} to a friend.",
    "does the gift card work for the {product}, too?",
    "my gift card seems to be empty.",
    "can I exchange a gift card for cash?",
    "the gift card for {friend} never arrived.",
    "may I pay half with a gift card and half by card?",
)

# What agents wrote back to gift card tickets: the export that job 4 trains on holds these in place of labels.
GIFT_CARD_REPLIES = (
    "Thank you for asking about our gift cards! A colleague will help you soon.",
    "Thank you for your question about gift cards! We will get back to you shortly.",
    "Thank you for buying a gift card! Our team will look into it soon.",
)
