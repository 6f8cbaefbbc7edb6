{{/* Environment that every container of ours has: (list $ "receiver" "secret's name"). */}}
{{- define "postrider.environment" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $secret := index . 2 -}}
{{- $keys := $root.Values.secrets.keys -}}
- name: POSTRIDER_CONFIG
  value: /etc/postrider/postrider.toml
- name: POSTRIDER_POSTGRES__URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.postgresUrl }}}}
{{- if has $service (list "director" "distributor" "all") }}
- name: POSTRIDER_REDIS__URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.redisUrl }}}}
{{- end }}
{{- if has $service (list "director" "all") }}
- name: POSTRIDER_DIRECTOR__LINK_SECRET
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.linkSecret }}}}
{{- end }}
{{- if has $service (list "distributor" "all") }}
- name: POSTRIDER_DISTRIBUTOR__LINK__SECRET
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.linkSecret }}}}
{{- if include "postrider.sharedKey" $root }}
- name: POSTRIDER_AUTH__SECRET
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.authSecret }}}}
{{- end }}
{{- end }}
{{- if eq $service "distributor" }}
# Each pod tells directors its own address: a client's session is at one pod, and no balancer may stand between.
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: POSTRIDER_DISTRIBUTOR__LINK__ADVERTISE
  value: {{ printf (ternary "[$(POD_IP)]:%d" "$(POD_IP):%d" $root.Values.network.ipv6) (int $root.Values.ports.link) | quote }}
{{- end }}
{{- with $root.Values.tracing }}
{{- if and .endpoint (not (has $service (list "setup" "all"))) }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArgument | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ printf "k8s.namespace.name=%s,k8s.pod.name=$(POD_NAME)" $root.Release.Namespace | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Probes ask the operators' port. Neither asks an engine: an engine that is away makes no pod unready and none dead. */}}
{{- define "postrider.probes" -}}
{{- $probes := .Values.probes -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml $probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml $probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml $probes.readiness | nindent 2 }}
{{- end -}}

{{- define "postrider.spread" -}}
{{- $root := index . 0 -}}
{{- $own := get $root.Values (index . 1) -}}
{{- if $own.topologySpreadConstraints -}}
{{- toYaml $own.topologySpreadConstraints -}}
{{- else -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "postrider.selector" $ | nindent 6 }}
  # Old and new pods of a deploy are spread apart from each other.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
{{- end -}}
