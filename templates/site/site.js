(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Switch to " + button.textContent.toLowerCase() + " colours"); };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  button.hidden = false;
  label();
  const form = document.getElementById("filters");
  if (!form) return;
  const list = document.getElementById("audits");
  const cards = [...list.children].map((node, place) => ({ node, place, date: node.dataset.date, family: node.dataset.family, tone: node.dataset.verdict, model: node.querySelector("h2").textContent, text: node.textContent.toLowerCase() }));
  const value = (name) => document.getElementById(name).value;
  const words = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  const grave = ["alert", "open", "calm"];
  const orders = {
    newest: () => 0,
    oldest: (a, b) => (a.date === "") - (b.date === "") || words(a.date, b.date),
    model: (a, b) => words(a.model.toLowerCase(), b.model.toLowerCase()),
    family: (a, b) => words(a.family, b.family),
    verdict: (a, b) => grave.indexOf(a.tone) - grave.indexOf(b.tone),
  };
  const update = () => {
    const asked = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    const order = orders[value("order")];
    cards.slice().sort((a, b) => order(a, b) || a.place - b.place).forEach((card) => list.append(card.node));
    let shown = 0;
    cards.forEach((card) => {
      const fits = (!value("family") || card.family === value("family")) && (!value("verdict") || card.tone === value("verdict")) && asked.every((word) => card.text.includes(word));
      card.node.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    document.getElementById("count").textContent = shown === cards.length ? "" : shown + " of " + cards.length + " audits";
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
})();
