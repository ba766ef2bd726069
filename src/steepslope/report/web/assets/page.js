startTables();
startDownloads();
startGallery();
startCharts(startData).then(() => {
  startPoint();
  document.documentElement.dataset.ready = "true";
});
