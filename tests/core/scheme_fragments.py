"""Hand-written fragments of every section of the vocabulary: the same meaning as XML and as YAML."""

from __future__ import annotations

FRAGMENTS: dict[str, tuple[str, str]] = {
    "root": (
        """\
<Process Name="expense" CanBeInlined="false" Tags="money,hr" LogEnabled="true"><Designer X="0" Y="0" Scale="1" /></Process>
""",
        """\
scheme: expense
tags: [money, hr]
log_enabled: true
designer: {x: 0, y: 0, scale: 1}
""",
    ),
    "actors and commands": (
        """\
<Process>
  <Actors><Actor Name="Manager" Rule="CheckRole" Value="manager" /><Actor Name="Author" Rule="IsAuthor" Value="" /></Actors>
  <Commands>
    <Command Name="approve"><InputParameters><ParameterRef Name="note" NameRef="Note" IsRequired="true" DefaultValue="ok" /></InputParameters>
  </Command>
    <Command Name="reject" />
  </Commands>
</Process>
""",
        """\
actors:
  Manager: {rule: CheckRole, value: manager}
  Author: {rule: IsAuthor}
commands:
  approve: {inputs: {note: {parameter: Note, required: true, default: ok}}}
  reject: {}
""",
    ),
    "parameters": (
        """\
<Process><Parameters>
  <Parameter Name="Amount" Type="Decimal" Purpose="Persistence" InitialValue="0" />
  <Parameter Name="Labels" Type="List&lt;String&gt;" Purpose="Temporary" />
</Parameters></Process>
""",
        """\
parameters:
  Amount: {type: decimal, purpose: persistence, initial: 0}
  Labels: {type: "list[string]", purpose: temporary}
""",
    ),
    "timers": (
        """\
<Process><Timers xmlns:wfr="urn:workflow-runtime">
  <Timer Name="remind" Type="Interval" Value="1d 12h" NotOverrideIfExists="true" />
  <Timer Name="evening" Type="Time" Value="18:30:00" /><Timer Name="launch" Type="DateAndTime" Value="12/24/2031 09:00:00" />
  <Timer Name="due" Type="Expression" Value="@DueDate" />
  <Timer Name="report" Type="Cron" Value="0 9 * * 1-5" wfr:time_zone="Europe/Berlin" wfr:missed="skip" wfr:late_after="1h" />
</Timers></Process>
""",
        """\
timers:
  remind: {interval: 1d 12h, keep_if_set: true}
  evening: {time: "18:30:00"}
  launch: {at: "2031-12-24 09:00:00"}      # date: for Type="Date"
  due: {expression: "@DueDate"}
  report: {cron: "0 9 * * 1-5", time_zone: Europe/Berlin, missed: skip, late_after: 1h}
""",
    ),
    "actions": (
        """\
<Process><Activities>
  <Activity Name="Draft" State="Draft" IsInitial="True" IsFinal="False" IsForSetState="True" IsAutoSchemeUpdate="True" />
  <Activity Name="Review" State="InReview" IsInitial="False" IsFinal="False" IsForSetState="True" IsAutoSchemeUpdate="True">
    <Implementation>
      <ActionRef Order="1" NameRef="Notify"><ActionParameter><![CDATA[{"channel": "mail"}]]></ActionParameter></ActionRef>
      <ActionRef Order="2" NameRef="StampDate" />
    </Implementation>
    <PreExecutionImplementation><ActionRef Order="1" NameRef="Forecast" /></PreExecutionImplementation>
    <Designer X="340" Y="170" />
  </Activity>
</Activities></Process>
""",
        """\
activities:
  Draft: {state: Draft, initial: true, set_state: true, auto_update: true}
  Review:
    state: InReview
    set_state: true
    auto_update: true
    actions: [{Notify: {channel: mail}}, StampDate]
    pre_execution: [Forecast]
    designer: {x: 340, y: 170}
""",
    ),
    "annotations": (
        """\
<Process><Activities><Activity Name="Mail"><Annotations>
  <Annotation Name="__customtype"><![CDATA[SendEmail]]></Annotation>
  <Annotation Name="Subject"><![CDATA[Done: @Title]]></Annotation>
</Annotations></Activity></Activities></Process>
""",
        """\
activities:
  Mail:
    custom: SendEmail
    annotations: {Subject: "Done: @Title"}
""",
    ),
    "timeouts and handlers": (
        """\
<Process><Activities><Activity Name="Charge">
  <ExecutionTimeout Type="Retry" Timer="30s" RetryCount="3" /><IdleTimeout Type="SetActivity" Timer="2d" NameForSet="Escalated" />
  <ExceptionsHandlers>
    <ExceptionsHandler Order="1" Type="Retry" RetryCount="2" Exceptions="TimeoutError,ConnectionError" />
    <ExceptionsHandler Order="2" Type="SetState" NameForSet="Failed" Exceptions="*" />
  </ExceptionsHandlers>
</Activity></Activities></Process>
""",
        """\
activities:
  Charge:
    execution_timeout: {after: 30s, retry: 3}
    idle_timeout: {after: 2d, set_activity: Escalated}
    on_error:
      - {catch: [TimeoutError, ConnectionError], retry: 2}
      - {catch: ["*"], set_state: Failed}
""",
    ),
    "inlining": (
        """\
<Process Name="order">
  <Activities><Activity Name="Credit" ActivityType="Inline" SchemeCode="credit_check" /></Activities>
  <Transitions><Transition Name="t1" From="Credit" To="Ship" InlinedFinalActivityName="Passed" /></Transitions>
</Process>
""",
        """\
scheme: order
activities:
  Credit: {inline: credit_check}
transitions:
  - {name: t1, from: Credit, to: Ship, leaves: Passed}
""",
    ),
    "our additions": (
        """\
<Process><Activities xmlns:wfr="urn:workflow-runtime"><Activity Name="Charge" State="Charging" wfr:recovery="resume"><Implementation>
  <ActionRef Order="1" NameRef="TakePayment" wfr:effect="at_most_once">
  <wfr:Retry attempts="5" delay="1s" factor="2" max_delay="60s" jitter="0.1" total="10m" final="ValueError" /></ActionRef>
  <ActionRef Order="2" NameRef="Refresh" wfr:journal="false" />
</Implementation></Activity></Activities></Process>
""",
        """\
activities:
  Charge:
    state: Charging
    recovery: resume
    actions:
      - action: TakePayment
        effect: at_most_once
        retry: {attempts: 5, delay: 1s, factor: 2, max_delay: 60s, jitter: 0.1, total: 10m, final: [ValueError]}
      - {action: Refresh, journal: false}
""",
    ),
    "transitions and conditions": (
        """\
<Process><Transitions>
  <Transition Name="small" From="Review" To="Paid" Classifier="Direct" AllowConcatenationType="Or">
    <Restrictions><Restriction Type="Allow" NameRef="Manager" /><Restriction Type="Allow" NameRef="Boss" />
  <Restriction Type="Restrict" NameRef="Author" /></Restrictions>
    <Triggers><Trigger Type="Command" NameRef="approve" /></Triggers>
    <Conditions><Condition Type="Expression"><Expression><![CDATA[@Amount <= 1000]]></Expression></Condition></Conditions>
  </Transition>
  <Transition Name="big" From="Review" To="Board" Classifier="Direct">
    <Triggers><Trigger Type="Command" NameRef="approve" /></Triggers><Conditions><Condition Type="Otherwise" /></Conditions>
  </Transition>
  <Transition Name="late" From="Review" To="Escalated"><Triggers><Trigger Type="Timer" NameRef="remind" /></Triggers></Transition>
  <Transition Name="auto" From="Paid" To="Closed" ConditionsConcatenationType="Or"><Conditions>
    <Condition Type="Action" NameRef="CheckParameter" ConditionInversion="true" ResultOnPreExecution="true">
      <ActionParameter><![CDATA[{"ParameterName": "Kind", "Value": "trial", "CompareType": "Equal"}]]></ActionParameter></Condition>
    <Condition Type="Expression"><Expression>@Order.Total > 0</Expression></Condition>
  </Conditions></Transition>
</Transitions></Process>
""",
        """\
transitions:
  - name: small
    from: Review
    to: Paid
    on: {command: approve}
    when: "@Amount <= 1000"              # a plain string is an expression
    allow: {any: [Manager, Boss]}
    deny: [Author]
    classifier: direct
  - {name: big, from: Review, to: Board, on: {command: approve}, otherwise: true, classifier: direct}
  - {name: late, from: Review, to: Escalated, on: {timer: remind}}
  - {name: auto, from: Paid, to: Closed, when: {any: [   # no "on" = automatic
        {action: CheckParameter, with: {ParameterName: Kind, Value: trial, CompareType: Equal}, not: true, pre_execution: true},
        "@Order.Total > 0"]}}
""",
    ),
    "forks": (
        """\
<Process><Transitions>
  <Transition Name="legal" From="Split" To="LegalCheck" IsFork="true" SubprocessInOutDefinition="Start" SubprocessName="legal"
    SubprocessStartupType="AnotherThread" SubprocessStartupParameterCopyStrategy="CopySpecified" SubprocessSpecifiedParameters="Amount,Note" />
  <Transition Name="legal_end" From="LegalDone" To="Joined" IsFork="true" SubprocessInOutDefinition="Finalize" MergeViaSetState="true"
    SubprocessFinalizeParameterMergeStrategy="DontOverwriteSpecified" SubprocessSpecifiedParameters="Note" DisableParentStateControl="true" />
</Transitions></Process>
""",
        """\
transitions:
  - {name: legal, from: Split, to: LegalCheck, fork: start, subprocess: {name: legal, startup: another_thread, copy: [Amount, Note]}}
  - {name: legal_end, from: LegalDone, to: Joined, fork: finalize, subprocess: {merge: {except: [Note]}, via_set_state: true, parent_control: false}}
""",
    ),
    "code actions, comments, localization": (
        """\
<Process Name="expense">
  <CodeActions><CodeAction Name="IsAuthor" Type="RuleCheck" IsGlobal="False" IsAsync="False"><ActionCode><![CDATA[return true;]]></ActionCode>
  <Usings /></CodeAction></CodeActions>
  <Comments><Comment Name="hint" Value="Ask finance" Alignment="left" Rotation="0" Width="160" FontSize="14"><Designer X="90" Y="40" /></Comment>
  </Comments>
  <Localization><Localize Type="State" IsDefault="True" Culture="en-US" ObjectName="InReview" Value="In review" /></Localization>
</Process>
""",
        """\
scheme: expense
code_actions:
  IsAuthor: {type: rule_check, source: "return true;"}
comments:
  hint: {value: Ask finance, alignment: left, rotation: 0, width: 160, font_size: 14, designer: {x: 90, y: 40}}
localization:
  en-US: {default: true, state: {InReview: In review}}
""",
    ),
    "loop": (
        """\
<Process><Activities><Activity Name="Each"><Implementation><ActionRef Order="1" NameRef="StartLoopFor">
  <ActionParameter><![CDATA[{"LoopName": "n", "CounterType": "Int",
  "StartValue": "1", "EndValue": "3", "Step": "1", "StepType": "Increment", "IncludeLastValue": true}]]></ActionParameter>
  </ActionRef></Implementation></Activity></Activities></Process>
""",
        """\
activities:
  Each:
    actions: [{StartLoopFor: {LoopName: n, CounterType: Int, StartValue: "1", EndValue: "3", Step: "1", StepType: Increment, IncludeLastValue: true}}]
""",
    ),
}
