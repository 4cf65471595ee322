// What a dashboard of ours may hold: @grafana/schema's types, narrowed to the panels, transformations and queries that we
// use, so that an unknown key or value anywhere is an error. `make-schema.sh` turns this into schema.json.
import type {
  AnnotationQuery,
  Dashboard,
  DashboardLink,
  FieldConfig,
  GridPos,
  Panel,
  RowPanel,
  VariableModel,
} from '@grafana/schema';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as StateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Every panel's options are called Options; a copy without the name keeps them apart in the schema.
type Flat<T> = Omit<T, never>;

// The Prometheus data source's query and annotation; their types are not in @grafana/schema.
interface PrometheusRef {
  type: 'prometheus';
  uid: '${datasource}';
}

interface PrometheusQuery {
  refId: string;
  datasource: PrometheusRef;
  editorMode: 'code';
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
  format: 'time_series' | 'table';
  exemplar: false;
}

interface PrometheusAnnotation extends Omit<AnnotationQuery, 'datasource' | 'target' | 'snapshotData'> {
  datasource: PrometheusRef;
  expr: string;
  step: string;
  tagKeys: string;
  titleFormat: string;
  textFormat: string;
  useValueForTime: boolean;
}

interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

type Defaults<Custom> = Omit<FieldConfig, 'custom' | 'links'> & { custom?: Custom; links?: DataLink[] };

// The value belongs to a field's setting of that name; the test checks it by setting it.
interface Property {
  id: string;
  value: unknown;
}

type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | {
      id: 'organize';
      options: {
        excludeByName: Record<string, boolean>;
        includeByName: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    };

type Placed<Kind extends string, Options, Custom> = Required<
  Pick<Panel, 'id' | 'title' | 'description' | 'pluginVersion'>
> &
  Pick<Panel, 'maxDataPoints' | 'transparent'> & {
    type: Kind;
    gridPos: GridPos;
    datasource: PrometheusRef;
    targets: PrometheusQuery[];
    options: Options;
    fieldConfig: {
      defaults: Defaults<Custom>;
      overrides: Array<{ matcher: { id: 'byName'; options: string }; properties: Property[] }>;
    };
    transformations?: Transformation[];
  };

export interface RowOfPanels extends Omit<RowPanel, 'panels' | 'datasource'> {
  panels: never[];
}

export type BarGaugePanel = Placed<'bargauge', Flat<BarGauge.Options>, Record<string, never>>;
export type StatPanel = Placed<'stat', Flat<Stat.Options>, Record<string, never>>;
export type StateTimelinePanel = Placed<'state-timeline', Flat<StateTimeline.Options>, Flat<StateTimeline.FieldConfig>>;
export type TablePanel = Placed<'table', Flat<Table.Options>, Flat<Table.FieldConfig>>;
export type TimeSeriesPanel = Placed<'timeseries', Flat<TimeSeries.Options>, Flat<TimeSeries.FieldConfig>>;

interface Variable extends Omit<VariableModel, 'datasource' | 'current'> {
  datasource?: PrometheusRef;
  current: { selected?: boolean; text?: string[]; value?: string[] };
}

export interface ClassicDashboard extends Omit<Dashboard, 'panels' | 'annotations' | 'templating' | 'links'> {
  uid: string;
  title: string;
  description: string;
  schemaVersion: 42;
  links: DashboardLink[];
  annotations: { list: PrometheusAnnotation[] };
  templating: { list: Variable[] };
  panels: Array<RowOfPanels | BarGaugePanel | StatPanel | StateTimelinePanel | TablePanel | TimeSeriesPanel>;
}
