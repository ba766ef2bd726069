// Downloads: files that the page holds as text, or as gzip in base64, since rows are many.

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function unzipped(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).blob();
}

function startDownloads() {
  for (const button of document.querySelectorAll("[data-download]")) {
    button.addEventListener("click", async () => {
      const name = button.dataset.download;
      const blob = name === "rows" ? await unzipped(report.files.rows) : new Blob([report.files[name]]);
      save(new Blob([blob], { type: "text/csv" }), `${name}.csv`);
    });
  }
}
