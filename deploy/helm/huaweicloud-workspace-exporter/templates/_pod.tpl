{{/* The pod of the Deployment and of the StatefulSet. */}}
{{- define "workspace-exporter.pod" -}}
{{- $sharded := gt (int .Values.shards) 1 -}}
serviceAccountName: {{ include "workspace-exporter.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with index $.Values $key }}
{{- toYaml (dict $key .) | nindent 0 }}
{{- end }}
{{- end }}
containers:
  - name: workspace-exporter
    image: {{ include "workspace-exporter.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- if $sharded }}
    # The pod's name ends with the shard's index. (The label pod-index requires Kubernetes 1.28.)
    command: [sh, -c, 'exec workspace-exporter --shard.index="${POD_NAME##*-}" "$@"', sh]
    {{- end }}
    args:
      - --config.file=/etc/workspace-exporter/workspace-exporter.yml
      {{- if include "workspace-exporter.hasWebFile" . }}
      - --web.config.file=/etc/workspace-exporter/web.yml
      {{- end }}
      {{- with .Values.extraArgs }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if or $sharded .Values.extraEnv }}
    env:
      {{- if $sharded }}
      - name: POD_NAME
        valueFrom:
          fieldRef:
            fieldPath: metadata.name
      - name: WORKSPACE_EXPORTER_SHARD__TOTAL
        value: {{ .Values.shards | quote }}
      {{- end }}
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    ports:
      - name: metrics
        containerPort: 10099
    startupProbe:
      {{- include "workspace-exporter.probe" (dict "root" . "path" "/-/healthy" "timing" .Values.startupProbe) | nindent 6 }}
    livenessProbe:
      {{- include "workspace-exporter.probe" (dict "root" . "path" "/-/healthy" "timing" .Values.livenessProbe) | nindent 6 }}
    readinessProbe:
      {{- include "workspace-exporter.probe" (dict "root" . "path" "/-/ready" "timing" .Values.readinessProbe) | nindent 6 }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    volumeMounts:
      - name: configuration
        mountPath: /etc/workspace-exporter
        readOnly: true
      {{- if .Values.existingSecret }}
      - name: secrets
        mountPath: /run/secrets
        readOnly: true
      {{- end }}
      {{- if .Values.web.tlsSecret }}
      - name: tls
        mountPath: /run/tls
        readOnly: true
      {{- end }}
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  # One directory, so that relative paths in the configuration name the files beside it.
  - name: configuration
    projected:
      defaultMode: 0440
      sources:
        - configMap:
            name: {{ .Values.existingConfigMap | default (include "workspace-exporter.fullname" .) }}
        {{- if or .Values.usersFile.content .Values.usersFile.existingConfigMap }}
        - configMap:
            name: {{ .Values.usersFile.existingConfigMap | default (printf "%s-users" (include "workspace-exporter.fullname" .)) }}
            items:
              - key: users.txt
                path: users.txt
        {{- end }}
        {{- if include "workspace-exporter.hasWebFile" . }}
        - secret:
            name: {{ .Values.web.existingSecret | default (printf "%s-web" (include "workspace-exporter.fullname" .)) }}
            items:
              - key: web.yml
                path: web.yml
        {{- end }}
  {{- with .Values.existingSecret }}
  - name: secrets
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.web.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
