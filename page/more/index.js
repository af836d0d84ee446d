// The second file: what has a switch (`data-with` of the script tag), on the core's plug.

window.nextbest.use(core => {
  core.config.switches;
});
