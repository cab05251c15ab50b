(() => {
  // Headings become buttons only where a script can sort; `sort` gets column and direction.
  const sortable = (table, sort) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!("sort" in head.dataset)) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorter";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(column, down ? -1 : 1);
      });
    });
  };
  const by = (id) => document.getElementById(id);
  const later = (work) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(work, 100); }; };
  const count = (n) => n.toLocaleString("en");

  const findings = () => {
    const table = by("findings-table");
    if (!table) return;
    const rows = [...table.tBodies[0].rows];
    const words = rows.map((row) => row.textContent.toLowerCase());
    const picks = ["word", "model", "probe"].map((name) => [name, by("findings-" + name)]);
    const search = by("findings-search");
    const sift = () => {
      const text = search.value.trim().toLowerCase();
      let shown = 0;
      rows.forEach((row, place) => {
        row.hidden = !words[place].includes(text) || picks.some(([name, one]) => one.value && one.value !== row.dataset[name]);
        shown += !row.hidden;
      });
      by("findings-count").textContent = shown === rows.length ? "" : count(shown) + " of " + count(rows.length) + " findings shown." + (shown ? "" : " Nothing matches.");
      reset.hidden = shown > 0;
    };
    // Beside the status, which is read out; a button within it would be read out too.
    const reset = Object.assign(document.createElement("button"), { type: "button", className: "reset", id: "findings-reset", textContent: "Reset the filters", hidden: true });
    reset.addEventListener("click", () => { search.value = ""; picks.forEach(([, one]) => { one.value = ""; }); sift(); search.focus(); });
    by("findings-count").after(reset);
    const keyOf = (row, column) => { const cell = row.cells[column]; return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent.trim().toLowerCase(); };
    sortable(table, (column, way) => {
      const keyed = rows.map((row, place) => [keyOf(row, column), place]);
      keyed.sort((a, b) => (a[0] < b[0] ? -way : a[0] > b[0] ? way : a[1] - b[1]));
      table.tBodies[0].append(...keyed.map(([, place]) => rows[place]));
    });
    search.addEventListener("input", later(sift));
    picks.forEach(([, one]) => one.addEventListener("change", sift));
    by("findings-sieve").addEventListener("submit", (event) => event.preventDefault());
    by("findings-sieve").hidden = false;
  };

  const decode = async (text) => {
    const raw = atob(text.trim());
    const bytes = new Uint8Array(raw.length);
    for (let place = 0; place < raw.length; place++) bytes[place] = raw.charCodeAt(place);
    const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(unzipped).arrayBuffer();
    const start = 4 + new DataView(buffer).getUint32(0, true);
    const found = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4)));
    // A copy of each column starts at its own first byte, whatever its offset.
    const column = (kind, at, n) => new kind(buffer.slice(start + at, start + at + n * kind.BYTES_PER_ELEMENT));
    found.pairs = [];
    found.total = 0;
    found.measurements.forEach((one, question) => {
      const n = one.ids.length;
      const small = one.width === 1 ? Uint8Array : Uint16Array;
      one.low = one.ids.map((id) => id.toLowerCase());
      one.slices.forEach((slice) => { slice.codes = column(Uint16Array, slice.codes, n); });
      one.sides.forEach((side) => {
        ["asked", "valid", "hits"].forEach((name) => { side[name] = column(small, side[name], n); });
        side.reason = column(Uint16Array, side.reason, n);
        side.mantissa = column(Int16Array, side.mantissa, n);
        side.exponent = column(Int16Array, side.exponent, n);
      });
      const base = one.sides.find((side) => found.models[side.model][1] === "base");
      const others = one.sides.filter((side) => side !== base);
      (others.length ? others : [null]).forEach((side) => {
        found.pairs.push({ question, one, base, side, n, at: found.total });
        found.total += n;
      });
    });
    return found;
  };

  const severity = (side, item) => (!side || side.mantissa[item] === -32768 ? null : Number(side.mantissa[item] + "e" + side.exponent[item]));
  const answered = (side, item) => side && side.asked[item] > 0;
  const outcome = (found, one, side, item) => {
    if (!answered(side, item)) return "not asked";
    const [asked, valid, hits] = [side.asked[item], side.valid[item], side.hits[item]];
    if (!valid) return "invalid: " + found.reasons[side.reason[item]];
    if (!one.binary) return "no yes or no";
    const said = asked === 1 ? (hits ? "defect" : "no defect") : hits + " of " + valid + " defect";
    return valid < asked ? said + ", " + (asked - valid) + " invalid" : said;
  };
  // All samples of an item have to agree, as in the paired tables.
  const settled = (side, item) => (!side || !side.valid[item] ? -1 : side.hits[item] === 0 ? 0 : side.hits[item] === side.valid[item] ? 1 : -1);
  const change = ({ one, base, side }, item) => {
    if (!one.binary || !base || !side) return "";
    const [old, now] = [settled(base, item), settled(side, item)];
    return old === 0 && now === 1 ? "new" : old === 1 && now === 0 ? "gone" : old === 1 && now === 1 ? "stayed" : "";
  };
  const fits = (wanted, pair, item) => {
    const own = pair.side || pair.base;
    if (wanted === "invalid") return [pair.base, pair.side].some((side) => answered(side, item) && side.valid[item] < side.asked[item]);
    if (wanted === "defect") return pair.one.binary && own.hits[item] > 0;
    if (wanted === "none") return pair.one.binary && own.valid[item] > 0 && own.hits[item] === 0;
    const way = change(pair, item);
    return wanted === "flipped" ? way === "new" || way === "gone" : way === wanted;
  };

  const explorer = () => {
    const tool = by("explorer-tool");
    if (!tool || typeof DecompressionStream === "undefined") return;
    const [search, probe, model, kind] = ["search", "probe", "model", "outcome"].map((name) => by("explorer-" + name));
    const body = by("explorer-table").tBodies[0];
    const keys = new Map();
    let found = null, opening = null, hits = [], page = 0, column = -1, way = 1;
    const SIZE = 50, BASE = 3;
    const pairOf = (row) => found.pairs.findLast((pair) => pair.at <= row);
    const match = () => {
      const text = search.value.trim().toLowerCase();
      const reasons = found.reasons.map((one) => text && one.toLowerCase().includes(text));
      hits = [];
      found.pairs.forEach((pair) => {
        const { one, base, side } = pair;
        if (probe.value && Number(probe.value) !== pair.question) return;
        if (model.value && Number(model.value) !== (side ? side.model : -1)) return;
        const levels = one.slices.map((slice) => slice.levels.map((level) => level && (slice.name + ": " + level).toLowerCase().includes(text)));
        for (let item = 0; item < pair.n; item++) {
          const said = !text || one.low[item].includes(text) || levels.some((level, place) => level[one.slices[place].codes[item]]) || [base, side].some((own) => own && reasons[own.reason[item]]);
          if (said && (!kind.value || fits(kind.value, pair, item))) hits.push(pair.at + item);
        }
      });
    };
    const keysOf = (place) => {
      if (keys.has(place)) return keys.get(place);
      const made = new Float64Array(found.total).fill(NaN);
      if (place === 0) {
        const all = found.pairs.flatMap((pair) => pair.one.ids.map((id, item) => [id, pair.at + item]));
        all.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1])).forEach(([, row], rank) => { made[row] = rank; });
      } else {
        found.pairs.forEach((pair) => {
          const side = place === BASE ? pair.base : pair.side;
          for (let item = 0; item < pair.n; item++) made[pair.at + item] = severity(side, item) ?? NaN;
        });
      }
      keys.set(place, made);
      return made;
    };
    const order = () => {
      if (column < 0) return;
      const key = keysOf(column);
      const known = hits.filter((row) => !Number.isNaN(key[row]));
      known.sort((a, b) => way * (key[a] - key[b]) || a - b);
      hits = known.concat(hits.filter((row) => Number.isNaN(key[row])));
    };
    const cell = (text, tag = "td") => { const made = document.createElement(tag); made.textContent = text; return made; };
    const line = (row) => {
      const pair = pairOf(row), item = row - pair.at, { one, base, side } = pair;
      const groups = one.slices.filter((slice) => slice.levels[slice.codes[item]]).map((slice) => slice.name + ": " + slice.levels[slice.codes[item]]);
      const number = (own) => { const value = severity(own, item); return value === null ? "—" : value.toPrecision(4).replace("-", "\u2212") + (one.severity === "severity" ? "" : " " + one.severity); };
      const made = document.createElement("tr");
      const head = cell(one.ids[item], "th");
      head.scope = "row";
      made.append(head, cell(side ? found.models[side.model][0] : "—"), cell(outcome(found, one, base, item)), cell(number(base)), cell(side ? outcome(found, one, side, item) : "—"), cell(number(side)), cell(change(pair, item)), cell(groups.join(", ")), cell(one.label));
      return made;
    };
    const show = () => {
      const pages = Math.max(1, Math.ceil(hits.length / SIZE));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...hits.slice(page * SIZE, (page + 1) * SIZE).map(line));
      by("explorer-status").textContent = count(hits.length) + " of " + count(found.total) + " lines match.";
      by("explorer-nothing").hidden = hits.length > 0;
      by("explorer-page").textContent = "Page " + count(page + 1) + " of " + count(pages);
      by("explorer-back").setAttribute("aria-disabled", String(page === 0));
      by("explorer-next").setAttribute("aria-disabled", String(page === pages - 1));
    };
    const update = () => { page = 0; match(); order(); show(); };
    // Nothing is unpacked before the reader asks for it.
    const open = async () => {
      by("explorer-status").textContent = "Opening the rows.";
      try { opening ||= decode(by("rows").textContent); found = await opening; } catch { by("explorer-status").textContent = "This browser cannot open the rows; list them as said above."; by("explorer-plain").hidden = false; return; }
      by("explorer-found").hidden = false;
      by("explorer-open").hidden = true;
      update();
    };
    const refresh = () => (found ? update() : open());
    by("explorer-sieve").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
    by("explorer-reset").addEventListener("click", () => { [search, probe, model, kind].forEach((one) => { one.value = ""; }); update(); search.focus(); });
    search.addEventListener("input", later(refresh));
    [probe, model, kind].forEach((one) => one.addEventListener("change", refresh));
    sortable(by("explorer-table"), (place, direction) => { [column, way] = [place, direction]; page = 0; order(); show(); });
    by("explorer-back").addEventListener("click", () => { page -= 1; show(); });
    by("explorer-next").addEventListener("click", () => { page += 1; show(); });
    by("explorer-plain").hidden = true;
    tool.hidden = false;
  };
  findings();
  explorer();
})();
