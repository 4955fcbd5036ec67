// What the map's page reads where it is a frame of a notebook: it asks the widget around it, and says what is picked.

window.logoscope = (() => {
  const waiting = new Map(); // by number: what takes the answer
  let count = 0;

  const tell = (content) => parent.postMessage(content, "*");

  addEventListener("message", ({ source, data }) => {
    if (source === parent && data?.logoscope === "answer") {
      waiting.get(data.number)?.(JSON.parse(data.answer));
      waiting.delete(data.number);
    }
  });

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  async function fetch(address) {
    const number = (count += 1);
    const content = await new Promise((resolve) => {
      waiting.set(number, resolve);
      tell({ logoscope: "ask", number, address });
    });
    return { ok: content !== null, json: async () => content, arrayBuffer: async () => bytes(content) };
  }

  // The address holds what is picked: it is the widget's to know, and the frame has none of its own.
  const picked = (said) => {
    const id = new URLSearchParams(said).get("token");
    tell({ logoscope: "token", token: id === null ? null : Number(id) });
  };
  const history = { replaceState: (state, title, address) => picked(address) };
  const location = { search: document.body.dataset.said, assign: () => {} };

  document.querySelector(".beside")?.parentElement.remove(); // the other map is on another page

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) {
      event.preventDefault(); // a token's page needs the program; its id goes to the notebook
      const id = Number(link.hash.slice(1));
      if (Number.isInteger(id) && link.hash.length > 1) {
        tell({ logoscope: "token", token: id });
      }
    }
  });

  return { fetch, history, location, run: () => {} };
})();
