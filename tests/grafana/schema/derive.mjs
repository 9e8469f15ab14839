// Derives a JSON schema of dashboards from the types in Grafana's npm package @grafana/schema:
// `make grafana-schema` writes the result beside this file, so that the tests need no npm.
//
// A dashboard's own schema leaves open what stands in a panel's `options` and `fieldConfig.defaults.custom`; each kind
// of panel that the dashboards use has further schemas for these.
import { readFileSync, writeFileSync } from "node:fs";
import { createGenerator } from "ts-json-schema-generator";

const [installed, result] = process.argv.slice(2);
const types = `${installed}/node_modules/@grafana/schema/dist/esm/raw`;
const { version } = JSON.parse(readFileSync(`${installed}/node_modules/@grafana/schema/package.json`));

const KINDS = {
  barchart: "BarChart",
  bargauge: "BarGauge",
  heatmap: "Heatmap",
  stat: "Stat",
  "state-timeline": "StateTimeline",
  table: "Table",
  timeseries: "TimeSeries",
};
const WITHOUT_CUSTOM = ["bargauge", "stat"];

function schema(file, type) {
  const generator = createGenerator({
    path: `${types}/${file}`,
    type,
    topRef: false,
    skipTypeCheck: true,
    jsDoc: "none",
  });
  return generator.createSchema(type);
}

function panel([kind, name]) {
  const file = `composable/${name.toLowerCase()}/panelcfg/x/${name}PanelCfg_types.gen.d.ts`;
  const custom = WITHOUT_CUSTOM.includes(kind) ? { maxProperties: 0 } : schema(file, "FieldConfig");
  return [kind, { options: schema(file, "Options"), custom }];
}

const derived = {
  derivedFrom: `@grafana/schema ${version}`,
  dashboard: schema("dashboard/x/dashboard_types.gen.d.ts", "Dashboard"),
  panels: Object.fromEntries(Object.entries(KINDS).map(panel)),
};
writeFileSync(result, JSON.stringify(derived, null, 1) + "\n");
