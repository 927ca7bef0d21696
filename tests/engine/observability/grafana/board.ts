// What a dashboard may hold, by Grafana's published types: tsc finds what is misspelt or missing in one.
import type { Dashboard, DataQuery, Panel } from "@grafana/schema";
import type * as Logs from "@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen";
import type * as Table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { LokiDataQuery } from "@grafana/schema/dist/esm/raw/composable/loki/dataquery/x/LokiDataQuery_types.gen";

// JSON has the values of enumerations, not their names.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Plain<Item>[]
  : T extends object ? { [Key in keyof T]: Plain<T[Key]> } : T;

type Source<Kind extends string> = { type: Kind; uid: "${datasource}" };
// The fields that Prometheus' queries have had since Grafana 7: their types are not in the package.
type PrometheusQuery = DataQuery & {
  datasource: Source<"prometheus">;
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  format?: "time_series" | "table" | "heatmap";
};
type LokiQuery = LokiDataQuery & { datasource: Source<"loki"> };

type Shown<Kind extends string, Options, Custom> =
  Omit<Panel<Options, Custom>, "type" | "targets" | "datasource" | "fieldConfig"> & {
    type: Kind;
    title: string;
    description: string;
    fieldConfig: Panel<Options, Custom>["fieldConfig"];
    options: Options;
  } & (
    | { datasource: Source<"prometheus">; targets: PrometheusQuery[] }
    | { datasource: Source<"loki">; targets: LokiQuery[] }
  );

export type Board = Plain<
  Omit<Dashboard, "panels"> & {
    uid: string;
    panels: (
      | Shown<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>
      | Shown<"table", Partial<Table.Options>, Table.FieldConfig>
      | Shown<"logs", Logs.Options, Record<string, never>>
    )[];
  }
>;
