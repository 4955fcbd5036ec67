// Lines of CSV, and texts that the browser keeps as files.

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// A line of CSV, ended as RFC 4180 has it.
export const csvLine = (cells) => `${cells.map(quoted).join(",")}\r\n`;

export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
