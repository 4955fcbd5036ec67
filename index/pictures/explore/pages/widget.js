// The map as a widget: its page in a frame, which asks here for what it draws, and is answered by the kernel.

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = "Map of the vocabulary";
  frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 0`;
  frame.srcdoc = model.get("page");
  const asked = ({ source, data }) => {
    if (source !== frame.contentWindow || data?.logoscope === undefined) {
      return;
    }
    if (data.logoscope === "ask") {
      model.send({ number: data.number, address: data.address });
    } else if (data.logoscope === "token") {
      model.set("token", data.token);
      model.save_changes();
    }
  };
  const answered = (message) => frame.contentWindow?.postMessage({ logoscope: "answer", ...message }, "*");
  addEventListener("message", asked);
  model.on("msg:custom", answered);
  el.append(frame);
  return () => {
    removeEventListener("message", asked);
    model.off("msg:custom", answered);
  };
}

export default { render };
