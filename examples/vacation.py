from workflow_runtime import IProcessRestorer, ProcessStatus, RestoreDecision, WorkflowRuntime


class StartAgain(IProcessRestorer):
    def need_custom_restore(self, scheme_code, status):
        return scheme_code == "VacationRequest" and status is ProcessStatus.TERMINATED

    def get_custom_restore_decision(self, process):
        return RestoreDecision.run_from_new_activity(process.scheme.initial_activity).add_persistent_parameter("wasFailed", True)


runtime = (
    WorkflowRuntime("sqlite:///workflow.db")         # or postgresql+psycopg://..., mysql+pymysql://...
    .with_schemes("schemes/vacation_request.yaml")   # a file, a folder (not recursive), or a Scheme; .xml .yaml .yml .json
    .with_process_restorer(StartAgain())
    .as_single_server()                              # .as_multi_server(name="eu-1") · .as_client()
)


@runtime.action("NotifyManager")                     # retry=, resumable=, effect=, journal= as in schemes
def notify_manager(ctx, parameter):                  # parameter: str | None
    ctx.step("mail", print, f"mail to {parameter}")  # journaled: not repeated after it succeeded
    ctx.parameters["Notified"] = True


@runtime.rule("Manager", identities=lambda process, parameter: ["bob"])
def is_manager(process, identity, parameter):
    return identity == "bob"


with runtime:                                        # start() ... shutdown(); `async with` too
    process = runtime.create_instance("VacationRequest", parameters={"Days": 3}, identity="alice")
    print([c.name for c in runtime.get_available_commands(process.id, identity="alice")])
    result = runtime.execute_command(process.id, "StartSigning", identity="alice", parameters={"Comment": "sea"})
    assert result.was_executed and result.process.state == "ManagerSigning"
