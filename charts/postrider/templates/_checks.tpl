{{/* What a schema cannot say. Rendered by configmaps.yaml. */}}
{{- define "postrider.checks" -}}
{{- $partitions := include "postrider.setting" (list . "log.partitions") | int -}}
{{- range $service := list "director" "executor" -}}
{{- $own := get $.Values $service -}}
{{- $scaled := and $own.autoscaling.enabled (ne $.Values.autoscaling.provider "none") -}}
{{- $most := ternary $own.autoscaling.maxReplicas $own.replicas $scaled | int -}}
{{- if gt $most $partitions -}}
{{- fail (printf "%s: %d pods and config.log.partitions is %d: those above it would have nothing to do" $service $most $partitions) -}}
{{- end -}}
{{- end -}}
{{- range $service := splitList " " (include "postrider.services" .) -}}
{{- $scaling := (get $.Values $service).autoscaling -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling: minReplicas is above maxReplicas" $service) -}}
{{- end -}}
{{- if lt (int (include "postrider.grace" (list $ $service))) (add (int (get $.Values $service).preStopSeconds) 5 | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds must be at least five seconds above preStopSeconds" $service) -}}
{{- end -}}
{{- end -}}
{{- $caps := include "postrider.setting" (list . "distributor.caps.sessions") | int -}}
{{- if ge (int .Values.distributor.autoscaling.sessions) $caps -}}
{{- fail (printf "distributor.autoscaling.sessions must be below config.distributor.caps.sessions, which is %d: a full node refuses clients and never reaches the average" $caps) -}}
{{- end -}}
{{- if not .Values.config.kafka.brokers -}}
{{- fail "config.kafka.brokers: say where Kafka is, host:port, comma-separated" -}}
{{- end -}}
{{- if not .Values.secrets.existingSecret -}}
{{- if or (not .Values.secrets.postgresUrl) (not .Values.secrets.redisUrl) -}}
{{- fail "secrets.existingSecret, or secrets.postgresUrl and secrets.redisUrl, must be set" -}}
{{- end -}}
{{- if and (include "postrider.sharedKey" .) (lt (len .Values.secrets.authSecret) 32) -}}
{{- fail "secrets.authSecret must have at least 32 letters; or set config.auth.algorithm EdDSA and config.auth.public_key" -}}
{{- end -}}
{{- end -}}
{{- if and (not (include "postrider.sharedKey" .)) (not (default dict .Values.config.auth).public_key) -}}
{{- fail "config.auth.public_key is needed with config.auth.algorithm EdDSA" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (or (not .Values.ingress.receiver.host) (not .Values.ingress.distributor.host)) -}}
{{- fail "ingress.receiver.host and ingress.distributor.host must be set; they may be the same" -}}
{{- end -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- range $service := list "receiver" "distributor" -}}
{{- $http := default dict (default dict (get $.Values.config $service)).http -}}
{{- if and (int $http.per_address) (not (hasKey $http "trusted_proxies")) -}}
{{- fail (printf "config.%s.http.trusted_proxies: say how many proxies append to X-Forwarded-For, or all clients count as one address" $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: say which Gateway" -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.provider "keda") (not .Values.autoscaling.keda.serverAddress) -}}
{{- fail "autoscaling.keda.serverAddress: say where Prometheus is" -}}
{{- end -}}
{{- end -}}

{{/* Not empty when tokens are verified by a shared secret. */}}
{{- define "postrider.sharedKey" -}}
{{- if ne (default "HS256" (default dict .Values.config.auth).algorithm) "EdDSA" -}}yes{{- end -}}
{{- end -}}
