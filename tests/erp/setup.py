"""A company with a web shop, the products that charges go to, and two ways in: a bearer key and a login.

Runs inside Tryton's own environment and prints what a test needs to know, as JSON. Goods are made by the tests themselves,
over the same interface as the orders.
"""

import json
import sys
from decimal import Decimal

from proteus import Model
from proteus import config as proteus_config
from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, create_tax, get_accounts
from trytond.modules.account_invoice.tests.tools import create_payment_term, set_fiscalyear_invoice_sequences
from trytond.modules.company.tests.tools import create_company, get_company

configuration, database = sys.argv[1:3]
connection = proteus_config.set_trytond(database=database, config_file=configuration)

create_company(currency="EUR")
company = get_company()
# Puts the company in the context.
connection._context = Model.get("res.user").get_preferences(True, {})
create_chart(company)
year = set_fiscalyear_invoice_sequences(create_fiscalyear(company))
year.click("create_period")
accounts = get_accounts(company)
tax = create_tax(Decimal("0.20"))
tax.name = "VAT 20%"
tax.save()

Category = Model.get("product.category")
accounting = dict(accounting=True, account_expense=accounts["expense"], account_revenue=accounts["revenue"])
untaxed = Category(name="untaxed", **accounting)
untaxed.save()
taxed = Category(name="taxed", **accounting)
taxed.customer_taxes.append(tax)
taxed.save()

(unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
Template = Model.get("product.template")
for sku, name in (
    ("SHIP", "Shipping"),
    ("DISC", "Discount"),
    ("TAXADJ", "Sales tax, fixed"),
    ("FEE", "Surcharge"),
):
    template = Template(
        name=name,
        default_uom=unit,
        type="service",
        salable=True,
        list_price=Decimal("0"),
        account_category=untaxed,
    )
    template.save()
    (product,) = template.products
    product.suffix_code = sku
    product.save()

guest = Model.get("party.party")(name="Web Guest", code="WEB-GUEST")
guest.save()
create_payment_term().save()

# Orders come in the currencies of shops; rates say nothing about them, since orders are kept in their own currency.
Currency = Model.get("currency.currency")
for code, symbol in (("USD", "$"), ("GBP", "£")):
    if not Currency.find([("code", "=", code)]):
        currency = Currency(name=code, symbol=symbol, code=code, digits=2, rounding=Decimal("0.01"))
        currency.save()

(warehouse,) = Model.get("stock.location").find([("type", "=", "warehouse")])
shop = Model.get("web.shop")(name="adobe-commerce", company=company, currency=company.currency, guest_party=guest)
shop.warehouses.append(warehouse)
shop.save()

# Shipments are packed, and packages have tracking numbers.
haulier = Model.get("party.party")(name="Parcel Service")
haulier.save()
(shipping,) = Model.get("product.product").find([("code", "=", "SHIP")])
carrier = Model.get("carrier")(party=haulier, carrier_product=shipping)
carrier.save()
box = Model.get("stock.package.type")(name="Box")
box.save()

user = Model.get("res.user")(name="router", login="router", password="router-secret")
wanted = [
    "Sales",
    "Sales Administrator",
    "Stock",
    "Stock Administration",
    "Product Administration",
    "Party Administration",
]
for group in Model.get("res.group").find([("name", "in", wanted)]):
    user.groups.append(group)
user.companies.append(company)
user.company = company
user.save()
application = Model.get("res.user.application")(user=user, application="rest", state="validated")
application.save()
application.reload()

print(
    json.dumps(
        {
            "key": application.key,
            "login": "router",
            "password": "router-secret",
            "company": company.id,
            "shop": shop.id,
            "guest": guest.id,
            "unit": unit.id,
            "taxed": taxed.id,
            "untaxed": untaxed.id,
            "tax": tax.id,
            "warehouse": warehouse.id,
            "carrier": carrier.id,
            "box": box.id,
        }
    )
)
