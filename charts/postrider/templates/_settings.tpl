{{/*
The settings of one service as TOML: (list $ "receiver"). `all` is what the command line is given.
Helm's own toToml writes whole numbers as fractions, which the programs refuse.
*/}}
{{- define "postrider.settings" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $config := deepCopy $root.Values.config -}}
{{- $any := ternary "[::]" "0.0.0.0" $root.Values.network.ipv6 -}}
{{- $ports := $root.Values.ports -}}
{{- $sections := list "log" "kafka" "postgres" "store" "telemetry" "admin" -}}
{{- if ne $service "all" -}}
{{- $_ := set $config "admin" (dict "listen" (printf "%s:%d" $any (int $ports.admin))) -}}
{{- end -}}
{{- if has $service (list "director" "distributor" "all") -}}{{- $sections = append $sections "redis" -}}{{- end -}}
{{- if has $service (list "distributor" "all") -}}{{- $sections = append $sections "auth" -}}{{- end -}}
{{- if has $service (list "receiver" "distributor") -}}
{{- $own := default dict (get $config $service) -}}
{{- $_ := set $own "listen" (printf "%s:%d" $any (int (get $ports $service))) -}}
{{- if eq $service "distributor" -}}
{{- $link := default dict $own.link -}}
{{- $_ := set $link "listen" (printf "%s:%d" $any (int $ports.link)) -}}
{{- $_ := set $own "link" $link -}}
{{- end -}}
{{- $_ := set $config $service $own -}}
{{- end -}}
{{- if eq $service "executor" -}}
{{- $directory := dict "sandbox" (dict "modules" (dict "directory" "/var/cache/postrider")) -}}
{{- $_ := set $config "executor" (merge $directory (default dict $config.executor)) -}}
{{- end -}}
{{- $sections = ternary (concat $sections (splitList " " (include "postrider.services" $root))) (append $sections $service) (eq $service "all") -}}
{{- range $name := sortAlpha $sections -}}
{{- with get $config $name -}}
{{- include "postrider.toml" (list $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A table, its own values first: (list "path.of.it" $map). */}}
{{- define "postrider.toml" -}}
{{- $path := index . 0 -}}
{{- $table := index . 1 -}}
{{ printf "[%s]\n" $path }}
{{- range $key := keys $table | sortAlpha -}}
{{- $value := get $table $key -}}
{{- if and (not (kindIs "map" $value)) (not (kindIs "invalid" $value)) -}}
{{- if or (kindIs "float64" $value) (kindIs "int64" $value) (kindIs "int" $value) -}}
{{ printf "%s = %d\n" $key (int64 $value) }}
{{- else -}}
{{ printf "%s = %s\n" $key (toRawJson $value) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key := keys $table | sortAlpha -}}
{{- $value := get $table $key -}}
{{- if kindIs "map" $value -}}
{{ include "postrider.toml" (list (printf "%s.%s" $path $key) $value) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One setting as it will be, with the program's default where the values have none: (list $ "kafka.brokers"). */}}
{{- define "postrider.setting" -}}
{{- $root := index . 0 -}}
{{- $given := $root.Values.config -}}
{{- $default := $root.Files.Get "files/settings.json" | fromJson -}}
{{- range $part := splitList "." (index . 1) -}}
{{- $given = ternary (get (default dict $given) $part) nil (kindIs "map" (default dict $given)) -}}
{{- if not (hasKey $default $part) -}}{{- fail (printf "there is no setting %s" (index $ 1)) -}}{{- end -}}
{{- $default = get $default $part -}}
{{- end -}}
{{- $value := $default -}}
{{- if and (not (kindIs "invalid" $given)) (ne (toString $given) "") -}}{{- $value = $given -}}{{- end -}}
{{- if or (kindIs "float64" $value) (kindIs "int64" $value) (kindIs "int" $value) -}}
{{ int64 $value }}
{{- else -}}
{{ $value }}
{{- end -}}
{{- end -}}

{{/*
Seconds from a pod's end being decided until it is killed: (list $ "receiver"). What the service's settings allow it to
take, one last call of each engine, the flush of traces and five seconds for its threads; before all of it, preStop.
*/}}
{{- define "postrider.grace" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $own := get $root.Values $service -}}
{{- if $own.terminationGracePeriodSeconds -}}
{{- int $own.terminationGracePeriodSeconds -}}
{{- else -}}
{{- $settings := list "telemetry.traces_flush_ms" "postgres.timeout_ms" -}}
{{- if eq $service "receiver" -}}
{{- $settings = concat $settings (list "receiver.http.announce_ms" "receiver.http.drain_ms") -}}
{{- else if eq $service "distributor" -}}
{{- $settings = concat $settings (list "distributor.http.announce_ms" "distributor.leave.limit_ms" "distributor.http.drain_ms" "redis.timeout_ms") -}}
{{- else -}}
{{- $settings = concat $settings (list "kafka.drain_timeout_ms" "kafka.request_timeout_ms") -}}
{{- end -}}
{{- $milliseconds := 5000 -}}
{{- range $settings -}}
{{- $milliseconds = add $milliseconds (include "postrider.setting" (list $root .) | int64) -}}
{{- end -}}
{{- add (int $own.preStopSeconds) (div (add $milliseconds 999) 1000) -}}
{{- end -}}
{{- end -}}
