// What pages of an exported site read: scripts beside them that put their content here. A page that is opened from a disk
// may load scripts, and nothing else. `fetch` answers from them what the program would.

window.logoscope = (() => {
  const contents = new Map(); // by name: promises
  const arrived = new Map(); // by name: what settles them
  const { shard } = document.body.dataset; // rows in a file

  function load(name) {
    if (!contents.has(name)) {
      const promise = new Promise((resolve, reject) => arrived.set(name, { resolve, reject }));
      contents.set(name, promise);
      run(`data/${name}.js`).onerror = () => arrived.get(name).reject(new Error(`${name} is not there`));
    }
    return contents.get(name);
  }

  function run(address) {
    const script = document.createElement("script");
    script.src = address;
    document.head.append(script);
    return script;
  }

  const put = (name, content) => arrived.get(name).resolve(content);

  const ofRow = async (name, row) => (await load(`${name}/${Math.floor(row / shard)}`))[row % shard];

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  async function fetch(address) {
    const [path, query] = address.split("?");
    const name = path.replace(/^\/map\/[^/]+/, "map");
    const [, row] = name.match(/^map\/near\/(\d+)$/) ?? [];
    const content = path === "/suggest"
      ? await suggestions(new URLSearchParams(query).get("q") ?? "")
      : await (row ? ofRow("near", Number(row)) : load(name === "map" ? "map/points" : name));
    return { ok: true, json: async () => content, arrayBuffer: async () => bytes(content) };
  }

  // --- search: texts as they are printed, the likeliest first

  const MOST = 8;

  const asPrinted = (typed) => typed.replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));

  function* ways(typed, { ids, texts }) {
    const digits = typed.trim().replace(/^#/, "");
    const printed = asPrinted(typed);
    const folded = printed.toLowerCase();
    const of = (test) => texts.flatMap((text, row) => (test(text) ? [row] : []));
    const byId = /^\d+$/.test(digits) ? [ids.indexOf(Number(digits))].filter((row) => row >= 0) : [];
    yield* typed.startsWith("#") ? byId : [];
    yield* of((text) => text === printed);
    yield* of((text) => text === `␣${printed}`);
    yield* byId;
    const lower = texts.map((text) => text.toLowerCase());
    const alike = (test) => lower.flatMap((text, row) => (test(text) ? [row] : [])).sort((a, b) => texts[a].length - texts[b].length);
    yield* alike((text) => text === folded || text === `␣${folded}`);
    yield* alike((text) => text.startsWith(folded) || text.startsWith(`␣${folded}`));
    yield* alike((text) => text.includes(folded));
  }

  async function rows(typed, most = MOST) {
    const found = new Set();
    const vocabulary = await load("vocabulary");
    for (const row of typed ? ways(typed, vocabulary) : []) {
      found.add(row);
      if (found.size === most) {
        break;
      }
    }
    return [...found];
  }

  // Returns the row of the token that is printed so, or has this id; undefined where none is.
  async function only(typed) {
    const { texts } = await load("vocabulary");
    const [first] = await rows(typed, 1);
    const printed = asPrinted(typed);
    return /^#?\d+$/.test(typed.trim()) || [printed, `␣${printed}`].includes(texts[first]) ? first : undefined;
  }

  async function suggestions(typed) {
    const { ids, texts } = await load("vocabulary");
    const meant = await only(typed);
    return (await rows(typed)).map((row) => ({
      id: ids[row],
      text: texts[row],
      number: `#${ids[row]}`,
      term: `#${ids[row]}`,
      address: `token.html?id=${ids[row]}`,
      only: row === meant,
    }));
  }

  // An address keeps the view where the browser lets a page that is opened from a disk change it.
  const history = {
    replaceState(...said) {
      try {
        window.history.replaceState(...said);
      } catch {
        // The page goes on; its address is the one it was opened by.
      }
    },
  };

  return { put, load, ofRow, rows, only, fetch, run, history, location: window.location };
})();
