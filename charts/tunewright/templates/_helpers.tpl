{{/* The name of every object of the operator: one installation per cluster, since the custom resources are cluster-wide. */}}
{{- define "tunewright.name" -}}tunewright-operator{{- end }}

{{- define "tunewright.selectorLabels" -}}
app.kubernetes.io/name: tunewright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "tunewright.commonLabels" -}}
app.kubernetes.io/name: tunewright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tunewright.labels" -}}
{{ include "tunewright.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{/*
Set the values that are absent to the chart's defaults. `helm upgrade --reuse-values` uses the values and the defaults of
the release, so that a value which a newer chart has added is absent. Every template that reads values begins with this.
A section of values is completed, but not a map that is one value: there, a user may have removed a key with null.
*/}}
{{- define "tunewright.completeValues" -}}
{{- range $section, $defaults := .Files.Get "files/default-values.yaml" | fromYaml -}}
{{- if kindIs "invalid" (index $.Values $section) -}}
{{- $_ := set $.Values $section $defaults -}}
{{- else if kindIs "map" $defaults -}}
{{- range $name, $default := $defaults -}}
{{- if kindIs "invalid" (index $.Values $section $name) -}}
{{- $_ := set (index $.Values $section) $name $default -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* An image's reference. Call with a dict of root and image (operator, trainer or server). */}}
{{- define "tunewright.image" -}}
{{- $images := .root.Values.images -}}
{{- $image := get $images .image -}}
{{- $registry := required "images.registry is required: the registry and path that hold the images, for example registry.example.com/tunewright" $images.registry -}}
{{- if $image.digest -}}
{{ $registry }}/{{ $image.name | default .image }}@{{ $image.digest }}
{{- else -}}
{{ $registry }}/{{ $image.name | default .image }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The operator's environment: its settings. */}}
{{- define "tunewright.env" -}}
- {name: TUNEWRIGHT_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
{{- with .Values.rbac.namespaces }}
- {name: TUNEWRIGHT_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
- {name: TUNEWRIGHT_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: TUNEWRIGHT_DEPLOYMENT, value: {{ include "tunewright.name" . }}}
- {name: TUNEWRIGHT_OPERATOR_IMAGE, value: {{ include "tunewright.image" (dict "root" . "image" "operator") | quote }}}
- {name: TUNEWRIGHT_TRAINER_IMAGE, value: {{ include "tunewright.image" (dict "root" . "image" "trainer") | quote }}}
- {name: TUNEWRIGHT_SERVER_IMAGE, value: {{ include "tunewright.image" (dict "root" . "image" "server") | quote }}}
- {name: TUNEWRIGHT_IMAGE_PULL_POLICY, value: {{ .Values.images.pullPolicy }}}
{{- with .Values.images.pullSecrets }}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
- {name: TUNEWRIGHT_IMAGE_PULL_SECRETS, value: {{ join "," $names | quote }}}
{{- end }}
- {name: AWS_EC2_METADATA_DISABLED, value: "true"}
- {name: TUNEWRIGHT_KEEP_FINISHED_JOBS_SECONDS, value: {{ .Values.jobs.keepFinishedSeconds | int | quote }}}
- {name: TUNEWRIGHT_DEFAULT_RESOURCES, value: {{ toJson .Values.defaultResources | quote }}}
- {name: TUNEWRIGHT_ALLOWED_SCHEDULING, value: {{ toJson .Values.allowedScheduling | quote }}}
- {name: TUNEWRIGHT_LOG_FORMAT, value: {{ .Values.operator.logFormat }}}
- {name: TUNEWRIGHT_LOG_LEVEL, value: {{ .Values.operator.logLevel }}}
- {name: TUNEWRIGHT_WORKERS, value: {{ toJson .Values.operator.workers | quote }}}
- {name: TUNEWRIGHT_API_REQUESTS_PER_SECOND, value: {{ .Values.operator.apiRateLimit.requestsPerSecond | int | quote }}}
- {name: TUNEWRIGHT_API_BURST, value: {{ .Values.operator.apiRateLimit.burst | int | quote }}}
{{- with .Values.operator.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tunewright.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tunewright.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The requests and limits of the operator's container, which writes little: storage is added to those that its value has. */}}
{{- define "tunewright.operatorResources" -}}
{{- $resources := deepCopy .Values.operator.resources -}}
{{- range $part, $storage := dict "requests" "128Mi" "limits" "512Mi" -}}
{{- with index $resources $part -}}
{{- $_ := set $resources $part (merge . (dict "ephemeral-storage" $storage)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* The rules of files/operator-rules.yaml, each with its reason. */}}
{{- define "tunewright.rules" -}}
{{- range . }}
# {{ .reason | trim | replace "\n" " " }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  verbs: {{ toJson .verbs }}
{{- end }}
{{- end }}

{{/* How the replicas are spread over the nodes; empty for one replica. */}}
{{- define "tunewright.spread" -}}
{{- if and (gt (int .Values.operator.replicas) 1) (ne .Values.operator.spread "None") -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: {{ eq .Values.operator.spread "Required" | ternary "DoNotSchedule" "ScheduleAnyway" }}
  labelSelector:
    matchLabels:
      {{- include "tunewright.selectorLabels" . | nindent 6 }}
  # The replicas that an upgrade replaces do not count: with Required, two nodes are enough for two replicas.
  matchLabelKeys: [pod-template-hash]
{{- end -}}
{{- end }}

{{/* The operator's service account, as the subject of a FlowSchema. */}}
{{- define "tunewright.flowSubjects" -}}
- kind: ServiceAccount
  serviceAccount: {name: {{ include "tunewright.name" . }}, namespace: {{ .Release.Namespace }}}
{{- end }}
