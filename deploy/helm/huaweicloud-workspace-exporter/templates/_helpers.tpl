{{- define "workspace-exporter.name" -}}
{{ .Values.nameOverride | default "workspace-exporter" | trunc 46 | trimSuffix "-" }}
{{- end }}

{{/* 46 characters at most. With the longest suffix, -grafana-sessions, they are 63. */}}
{{- define "workspace-exporter.fullname" -}}
{{- $name := include "workspace-exporter.name" . -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ .Values.fullnameOverride | default $release | trunc 46 | trimSuffix "-" }}
{{- end }}

{{- define "workspace-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "workspace-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every resource: root, and labels of this one, which win over commonLabels. */}}
{{- define "workspace-exporter.labels" -}}
{{- $fixed := include "workspace-exporter.selectorLabels" .root | fromYaml }}
{{- $version := .root.Values.image.tag | default .root.Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- $_ := set $fixed "app.kubernetes.io/version" $version }}
{{- $_ := set $fixed "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $fixed "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63) }}
{{- toYaml (merge $fixed .labels .root.Values.commonLabels) }}
{{- end }}

{{/* metadata of a resource: root, and optionally suffix, labels and annotations */}}
{{- define "workspace-exporter.metadata" -}}
name: {{ include "workspace-exporter.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "workspace-exporter.labels" (dict "root" .root "labels" (.labels | default dict)) | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The labels of a pod, without versions: a new chart with the same pod must not restart it. */}}
{{- define "workspace-exporter.podLabels" -}}
{{- $fixed := include "workspace-exporter.selectorLabels" . | fromYaml }}
{{- toYaml (merge $fixed .Values.podLabels .Values.commonLabels) }}
{{- end }}

{{- define "workspace-exporter.serviceAccountName" -}}
{{- $default := ternary (include "workspace-exporter.fullname" .) "default" .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default $default }}
{{- end }}

{{- define "workspace-exporter.image" -}}
{{- with .Values.image.digest -}}
{{ $.Values.image.repository }}@{{ . }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "workspace-exporter.hasWebFile" -}}
{{- with .Values.web }}{{ if or .tlsSecret .config .existingSecret }}true{{ end }}{{ end }}
{{- end }}

{{- define "workspace-exporter.scheme" -}}
{{ ternary "https" "http" (not (empty .Values.web.tlsSecret)) }}
{{- end }}

{{/* How to probe a path. The kubelet has neither password nor client certificate; exporter.health needs none. */}}
{{- define "workspace-exporter.probe" -}}
{{- $web := .root.Values.web -}}
{{- $tls := $web.config.tls_server_config | default dict -}}
{{- if or $web.existingSecret $web.config.basic_auth_users $tls.client_auth_type -}}
exec:
  command: [python, -m, exporter.health, "{{ include "workspace-exporter.scheme" .root }}://127.0.0.1:10099"]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: metrics
  scheme: {{ include "workspace-exporter.scheme" .root | upper }}
{{- end }}
{{ toYaml .timing }}
{{- end }}

{{- define "workspace-exporter.check" -}}
{{- if and (not .Values.config.projects) (not .Values.existingConfigMap) }}
{{- fail "config.projects: is required. Set it, or set existingConfigMap to a ConfigMap with the key workspace-exporter.yml." }}
{{- end }}
{{- if and .Values.config.projects .Values.existingConfigMap }}
{{- fail "existingConfigMap: cannot be combined with config.projects. Remove one of them." }}
{{- end }}
{{- if and .Values.usersFile.content .Values.usersFile.existingConfigMap }}
{{- fail "usersFile.existingConfigMap: cannot be combined with usersFile.content. Remove one of them." }}
{{- end }}
{{- if and .Values.web.config.tls_server_config (not .Values.web.tlsSecret) }}
{{- fail "web.config.tls_server_config: requires web.tlsSecret, the Secret with the certificate." }}
{{- end }}
{{- if and .Values.web.config .Values.web.existingSecret }}
{{- fail "web.existingSecret: cannot be combined with web.config. Remove one of them." }}
{{- end }}
{{- end }}
