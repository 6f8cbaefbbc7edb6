{{/*
How fast each service grows and shrinks, for the HPA and inside the ScaledObject alike: (list $ "receiver").

receiver     has no state: it grows at once and shrinks after five quiet minutes.
director     each change of its number deals its partitions anew, which holds delivery up for a moment: it grows when lag
             has been there for a minute, by half at most, and gives up one pod in five minutes.
distributor  a pod that goes sends all of its clients elsewhere, and one that comes takes only new ones: it grows at once,
             and shrinks after half an hour below the target, one pod in ten minutes, longer than any pod takes to leave.
executor     as the director, a little sooner: what its pods give up is run again.
*/}}
{{- define "postrider.behavior" -}}
{{- $service := index . 1 -}}
{{- $own := (get (index . 0).Values $service).autoscaling -}}
{{- if $own.behavior -}}
{{- toYaml $own.behavior -}}
{{- else if eq $service "receiver" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies: [{type: Percent, value: 100, periodSeconds: 30}, {type: Pods, value: 2, periodSeconds: 30}]
scaleDown:
  stabilizationWindowSeconds: 300
  policies: [{type: Percent, value: 25, periodSeconds: 60}]
{{- else if eq $service "director" -}}
scaleUp:
  stabilizationWindowSeconds: 60
  selectPolicy: Max
  policies: [{type: Percent, value: 50, periodSeconds: 120}, {type: Pods, value: 1, periodSeconds: 120}]
scaleDown:
  stabilizationWindowSeconds: 900
  policies: [{type: Pods, value: 1, periodSeconds: 300}]
{{- else if eq $service "distributor" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies: [{type: Percent, value: 50, periodSeconds: 60}, {type: Pods, value: 2, periodSeconds: 60}]
scaleDown:
  stabilizationWindowSeconds: 1800
  policies: [{type: Pods, value: 1, periodSeconds: 600}]
{{- else -}}
scaleUp:
  stabilizationWindowSeconds: 30
  selectPolicy: Max
  policies: [{type: Percent, value: 100, periodSeconds: 60}, {type: Pods, value: 1, periodSeconds: 60}]
scaleDown:
  stabilizationWindowSeconds: 600
  policies: [{type: Pods, value: 1, periodSeconds: 180}]
{{- end -}}
{{- end -}}

{{/* The matcher of everything that is ours, for KEDA's queries. */}}
{{- define "postrider.matcher" -}}
namespace={{ .Release.Namespace | quote }}
{{- range $label, $value := .Values.autoscaling.metricLabels }},{{ $label }}={{ $value | quote }}{{ end -}}
{{- end -}}
