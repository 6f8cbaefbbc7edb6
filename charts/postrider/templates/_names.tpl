{{- define "postrider.services" -}}
receiver director distributor executor
{{- end -}}

{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Room is left for the suffixes: the longest name of an object of ours is below 63 letters. */}}
{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pods are selected by; it never changes. Call with (list $ "receiver"). */}}
{{- define "postrider.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "postrider.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "postrider.labels" -}}
{{- $root := index . 0 -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: postrider
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The head of an object: (list $ "component" "name" $annotations $labels), the last two if there are any. */}}
{{- define "postrider.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "postrider.labels" (list $root (index . 1)) | nindent 2 }}
{{- if gt (len .) 4 }}{{ with index . 4 }}
  {{- toYaml . | nindent 2 }}
{{- end }}{{ end }}
{{- $annotations := $root.Values.commonAnnotations -}}
{{- if gt (len .) 3 -}}
{{- $annotations = merge (deepCopy (default dict (index . 3))) $annotations -}}
{{- end -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* (list $ "receiver") */}}
{{- define "postrider.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- $name := index . 1 -}}
{{- $repository := get $image.repositories $name -}}
{{- if $image.registry -}}{{- $repository = printf "%s/%s" (trimSuffix "/" $image.registry) $repository -}}{{- end -}}
{{- with get $image.digests $name -}}
{{- printf "%s@%s" $repository . -}}
{{- else -}}
{{- printf "%s:%s" $repository (default (index $ 0).Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "postrider.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := (get $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "postrider.fullname" $root) (index . 1)) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "postrider.secretName" -}}
{{- default (include "postrider.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}
