startTables();
startGallery();
startPoint();
startCharts(startData).then(() => {
  showPoint();
  document.documentElement.dataset.ready = "true";
});
