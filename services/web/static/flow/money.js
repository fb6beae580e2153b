// The money, as the services report it now; what cannot be read is missing, and never what it was before.
import { setDana } from "./faults.js";
import { ask, put, root, rupiah, say } from "./words.js";

const find = (selector) => root.querySelector(selector);

async function read() {
  const known = (asked) => asked.then((found) => found ?? undefined, () => undefined);
  // The refunds first: what is refunded then is owed when that is read.
  const [money, dana] = await Promise.all([
    known(ask("GET", "/refunds/demonstration/money")),
    known(ask("GET", "/refunds/demonstration/dana")),
  ]);
  const owed = await known(ask("GET", "/orders/demonstration/money"));
  return { back: money && (money.refunds?.issued ?? { refunds: 0, amount: 0 }), ledger: money?.ledger, owed, dana };
}

function judge({ back, ledger, owed }) {
  if (![back?.amount, back?.refunds, ledger, owed?.amount, owed?.orders].every(Number.isInteger)) return "unknown";
  if (ledger !== 0 || back.amount > owed.amount || back.refunds > owed.orders) return "wrong";
  return owed.amount === back.amount && owed.orders === back.refunds ? "right" : "moving";
}

export async function lookAtMoney() {
  const { back, ledger, owed, dana } = await read();
  const orders = (count) => say("money.orders", { count });
  const refunds = (count) => say("money.refunds", { count });
  const figures = {
    owed: owed && [owed.amount, orders(owed.orders)],
    back: back && [back.amount, refunds(back.refunds)],
    way: owed && back && [owed.amount - back.amount, refunds(owed.orders - back.refunds)],
    ledger: [ledger, ""],
    dana: dana && [dana.amount, refunds(dana.payments)],
  };
  for (const [key, figure] of Object.entries(figures)) {
    const shown = Number.isInteger(figure?.[0]) ? [rupiah(figure[0]), figure[1]] : ["–", ""];
    put(find(`[data-amount="${key}"]`), shown[0]);
    put(find(`[data-count="${key}"]`), shown[1]);
  }
  const verdict = judge({ back, ledger, owed });
  put(find("[data-verdict]"), say(`money.${verdict}`));
  find("[data-verdict]").className = `notice ${{ wrong: "bad", right: "good", moving: "warn", unknown: "warn" }[verdict]}`;
  setDana(dana?.weather);
}
