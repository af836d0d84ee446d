"""What well-known senders call their events, and where their fields stand: the presets of ``events``.

A field is looked for at each path in turn. Paths of a product are those within one entry of the list of products.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

Preset: TypeAlias = Literal[
    "segment",
    "ga4",
    "shopify",
    "hotel",
    "subscription",
    "email",
    "sendgrid",
    "mailgun",
    "postmark",
    "support",
    "social",
]

Meaning: TypeAlias = Literal[
    "viewed",
    "list_viewed",
    "selected",
    "searched",
    "added",
    "removed",
    "cart_cleared",
    "wished",
    "checkout_started",
    "ordered",
    "refunded",
    "signed_up",
    "signed_in",
    "trial_started",
    "subscribed",
    "renewed",
    "cancelled",
    "email_delivered",
    "email_opened",
    "email_clicked",
    "email_forwarded",
    "email_bounced",
    "email_complained",
    "unsubscribed",
    "ticket_opened",
    "ticket_solved",
    "rated",
    "liked",
    "shared",
    "commented",
    "followed",
    "mentioned",
]

PAYING = frozenset({"ordered", "renewed", "subscribed"})
"""Meanings that add to revenue and orders."""

COMMERCE = PAYING | {"added", "cart_cleared", "refunded", "removed"}
"""Meanings that change the cart, revenue or orders."""

Path: TypeAlias = tuple[str, ...]


class Paths(NamedTuple):
    """Where the fields of an event stand.

    Attributes
    ----------
    calculated
        CEL by field, for what stands nowhere as it is.
    product
        By field, the same within an entry of ``products``.
    """

    id: tuple[str, ...] = (
        "properties.product_id",
        "properties.productId",
        "properties.item_id",
        "properties.sku",
        "properties.id",
    )
    category: tuple[str, ...] = ("properties.category",)
    price: tuple[str, ...] = ("properties.price",)
    quantity: tuple[str, ...] = ("properties.quantity",)
    revenue: tuple[str, ...] = ("properties.revenue", "properties.total", "properties.value")
    currency: tuple[str, ...] = ("properties.currency",)
    rating: tuple[str, ...] = ("properties.rating", "properties.score")
    order: tuple[str, ...] = ("properties.order_id", "properties.orderId", "properties.transaction_id")
    products: tuple[str, ...] = ("properties.products", "properties.items")
    calculated: Mapping[str, str] = MappingProxyType({})
    product: Mapping[str, tuple[str, ...]] = MappingProxyType(
        {
            "id": ("product_id", "productId", "item_id", "sku", "id"),
            "category": ("category", "item_category"),
            "price": ("price",),
            "quantity": ("quantity",),
        }
    )


USUAL = Paths()
"""Where senders usually put them: what a mapping that names no path looks at."""

_GA4 = USUAL._replace(
    revenue=("properties.value",),
    product=MappingProxyType({**USUAL.product, "id": (*USUAL.product["id"], "item_name")}),
)
_SHOPIFY = Paths(
    id=("properties.productVariant.product.id", "properties.cartLine.merchandise.product.id"),
    category=("properties.productVariant.product.type", "properties.cartLine.merchandise.product.type"),
    price=("properties.productVariant.price.amount", "properties.cartLine.merchandise.price.amount"),
    quantity=("properties.cartLine.quantity",),
    revenue=("properties.checkout.totalPrice.amount",),
    currency=(
        "properties.checkout.currencyCode",
        "properties.checkout.totalPrice.currencyCode",
        "properties.productVariant.price.currencyCode",
        "properties.cartLine.merchandise.price.currencyCode",
    ),
    order=("properties.checkout.order.id", "properties.checkout.token"),
    products=(
        "properties.checkout.lineItems",
        "properties.collection.productVariants",
        "properties.searchResult.productVariants",
    ),
    product=MappingProxyType(
        {
            "id": ("variant.product.id", "product.id"),
            "category": ("variant.product.type", "product.type"),
            "price": ("variant.price.amount", "price.amount"),
            "quantity": ("quantity",),
        }
    ),
)
_HOTEL = Paths(
    id=("properties.room_id", "properties.roomId", *USUAL.id),
    category=("properties.room_type", "properties.roomType", *USUAL.category),
    price=("properties.rate", *USUAL.price),
    quantity=("properties.nights", *USUAL.quantity),
    order=("properties.booking_id", "properties.bookingId", *USUAL.order),
    calculated=MappingProxyType({"revenue": "double(properties.nights) * double(properties.rate)"}),
)
_UNSUBSCRIBED = (
    'properties.SuppressSending == true && !(properties.SuppressionReason in ["HardBounce", "SpamComplaint"])'
)
_SUPPORT = USUAL._replace(rating=(*USUAL.rating, "properties.conversation_rating.rating"))
_SUBSCRIPTION = USUAL._replace(
    id=("properties.plan_id", "properties.planId", "properties.plan", *USUAL.id),
    revenue=(*USUAL.revenue, "properties.amount", *USUAL.price),
)


class PresetEvents(NamedTuple):
    """A preset: meanings by the name of the event, and where the fields stand.

    Attributes
    ----------
    sometimes
        By the name of an event, what it means where a condition holds: CEL over the event.
    """

    names: Mapping[str, Meaning]
    paths: Paths = USUAL
    sometimes: Mapping[str, Mapping[str, Meaning]] = MappingProxyType({})


PRESETS: Mapping[str, PresetEvents] = MappingProxyType(
    {
        "segment": PresetEvents(
            {
                "Product Viewed": "viewed",
                "Product List Viewed": "list_viewed",
                "Product Clicked": "selected",
                "Products Searched": "searched",
                "Product Added": "added",
                "Product Removed": "removed",
                "Cart Cleared": "cart_cleared",
                "Product Added to Wishlist": "wished",
                "Checkout Started": "checkout_started",
                "Order Completed": "ordered",
                "Order Refunded": "refunded",
                "Product Shared": "shared",
                "Signed Up": "signed_up",
                "Signed In": "signed_in",
                "Trial Started": "trial_started",
            }
        ),
        "ga4": PresetEvents(
            {
                "view_item": "viewed",
                "view_item_list": "list_viewed",
                "select_item": "selected",
                "search": "searched",
                "add_to_cart": "added",
                "remove_from_cart": "removed",
                "add_to_wishlist": "wished",
                "begin_checkout": "checkout_started",
                "purchase": "ordered",
                "refund": "refunded",
                "share": "shared",
                "sign_up": "signed_up",
                "login": "signed_in",
            },
            _GA4,
        ),
        "shopify": PresetEvents(
            {
                "product_viewed": "viewed",
                "collection_viewed": "list_viewed",
                "search_submitted": "searched",
                "product_added_to_cart": "added",
                "product_removed_from_cart": "removed",
                "checkout_started": "checkout_started",
                "checkout_completed": "ordered",
            },
            _SHOPIFY,
        ),
        "hotel": PresetEvents(
            {
                "Hotel Searched": "searched",
                "Rooms Searched": "searched",
                "Room Viewed": "viewed",
                "Room Booked": "ordered",
                "Booking Confirmed": "ordered",
            },
            _HOTEL,
        ),
        "subscription": PresetEvents(
            {
                "Trial Started": "trial_started",
                "Subscription Started": "subscribed",
                "Subscription Renewed": "renewed",
                "Subscription Cancelled": "cancelled",
                "Subscription Canceled": "cancelled",
            },
            _SUBSCRIPTION,
        ),
        "email": PresetEvents(
            {
                "Email Delivered": "email_delivered",
                "Email Opened": "email_opened",
                "Email Link Clicked": "email_clicked",
                "Email Forwarded": "email_forwarded",
                "Email Bounced": "email_bounced",
                "Email Marked as Spam": "email_complained",
                "Unsubscribed": "unsubscribed",
            }
        ),
        "sendgrid": PresetEvents(
            {
                "delivered": "email_delivered",
                "open": "email_opened",
                "click": "email_clicked",
                "bounce": "email_bounced",
                "spamreport": "email_complained",
                "unsubscribe": "unsubscribed",
                "group_unsubscribe": "unsubscribed",
            }
        ),
        "mailgun": PresetEvents(
            {
                "delivered": "email_delivered",
                "opened": "email_opened",
                "clicked": "email_clicked",
                "permanent_fail": "email_bounced",
                "complained": "email_complained",
                "unsubscribed": "unsubscribed",
            },
            sometimes={"failed": {'properties.severity == "permanent"': "email_bounced"}},
        ),
        "postmark": PresetEvents(
            {
                "Delivery": "email_delivered",
                "Open": "email_opened",
                "Click": "email_clicked",
                "Bounce": "email_bounced",
                "SpamComplaint": "email_complained",
            },
            sometimes={
                "SubscriptionChange": {
                    _UNSUBSCRIBED: "unsubscribed",
                }
            },
        ),
        "support": PresetEvents(
            {
                "Ticket Opened": "ticket_opened",
                "Ticket Created": "ticket_opened",
                "Ticket Solved": "ticket_solved",
                "Ticket Resolved": "ticket_solved",
                "Satisfaction Rated": "rated",
                "conversation.user.created": "ticket_opened",
                "conversation.admin.closed": "ticket_solved",
                "conversation.rating.added": "rated",
                "ticket.created": "ticket_opened",
                "zen:event-type:ticket.created": "ticket_opened",
            },
            _SUPPORT,
            sometimes={
                "zen:event-type:ticket.status_changed": {'properties.event.current == "SOLVED"': "ticket_solved"}
            },
        ),
        "social": PresetEvents(
            {
                "Liked": "liked",
                "Content Liked": "liked",
                "Shared": "shared",
                "Content Shared": "shared",
                "Commented": "commented",
                "Comment Added": "commented",
                "Followed": "followed",
                "Mentioned": "mentioned",
            }
        ),
    }
)

AS_EVER: Mapping[str, Meaning] = MappingProxyType(
    {
        "Product Added": "added",
        "Product Removed": "removed",
        "Order Completed": "ordered",
        "Cart Cleared": "cart_cleared",
    }
)
"""What has an effect under a catalog without ``events``."""

PATHS_AS_EVER = Paths(
    id=("properties.product_id",), revenue=("properties.revenue", "properties.total"), products=()
)
