from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import (
    AcceptOpt,
    DeploymentArg,
    DryRunOpt,
    FollowOpt,
    JsonOpt,
    ModelKeysArg,
    PrintConfigOpt,
    QuietOpt,
    YesOpt,
)

LOCAL_EXAMPLES = examples(
    "mltool deploy local digits",
    "mltool deploy local digits@2 deployment=shop port=9000 workers=2",
    keys="mltool deploy local",
)
DOCKER_EXAMPLES = examples(
    "mltool deploy docker digits",
    "mltool deploy docker digits@2 tag=registry.example.com/digits:2",
    "mltool deploy docker digits context_folder=image",
    keys="mltool deploy docker",
)
GCP_EXAMPLES = examples(
    "mltool deploy gcp digits@3 project=my-project region=europe-west1",
    "mltool deploy gcp digits@3 traffic_percent=10",
    "mltool deploy gcp digits@3 --dry-run",
    keys="mltool deploy gcp",
)
LIST_EXAMPLES = examples("mltool deploy list")
STATUS_EXAMPLES = examples("mltool deploy status digits", "mltool deploy status digits --json")
LOGS_EXAMPLES = examples("mltool deploy logs digits", "mltool deploy logs digits --follow")
STOP_EXAMPLES = examples("mltool deploy stop digits", "mltool deploy stop digits --dry-run")
ROLLBACK_EXAMPLES = examples("mltool deploy rollback digits")


def local(
    tokens: ModelKeysArg = None,
    accept_failed_checks: AcceptOpt = False,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Put a model into service on this machine, in the background."""
    refs, overrides = read_args(tokens, "[REF]", verb="deploy local")
    from mltool.cli.deployments import show_deployment
    from mltool.cli.show import show_config, show_plan
    from mltool.verbs import deploy, jobs

    ref = refs[0] if refs else "latest"
    if print_config:
        show_config(jobs.resolved("deploy local", overrides))
    elif dry_run:
        show_plan(deploy.plan_local(ref, *overrides, accept_failed_checks=accept_failed_checks))
    else:
        show_deployment(deploy.local(ref, *overrides, accept_failed_checks=accept_failed_checks))


def docker(
    tokens: ModelKeysArg = None,
    accept_failed_checks: AcceptOpt = False,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Make a small container image of a model, and ask it for predictions."""
    refs, overrides = read_args(tokens, "[REF]", verb="deploy docker")
    from mltool.cli.deployments import show_image
    from mltool.cli.show import show_config, show_plan
    from mltool.verbs import deploy, jobs

    ref = refs[0] if refs else "latest"
    if print_config:
        show_config(jobs.resolved("deploy docker", overrides))
    elif dry_run:
        show_plan(deploy.plan_docker(ref, *overrides, accept_failed_checks=accept_failed_checks))
    else:
        show_image(deploy.docker(ref, *overrides, accept_failed_checks=accept_failed_checks))


def gcp(
    tokens: ModelKeysArg = None,
    accept_failed_checks: AcceptOpt = False,
    yes: YesOpt = False,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Put a model into service on Google Cloud Run."""
    refs, overrides = read_args(tokens, "[REF]", verb="deploy gcp")
    from mltool.cli.asking import confirmed
    from mltool.cli.deployments import show_release
    from mltool.cli.show import show_config, show_plan
    from mltool.verbs import deploy, jobs, load

    ref = refs[0] if refs else "latest"
    if print_config:
        show_config(jobs.resolved("deploy gcp", overrides))
    elif dry_run:
        show_plan(deploy.plan_gcp(ref, *overrides, accept_failed_checks=accept_failed_checks))
    else:
        model = load(ref)
        question = f"deploy `{model.label}` to Google Cloud, which costs money?"
        if confirmed(question, yes=yes or bool(refs), declined="nothing was deployed"):
            show_release(deploy.gcp(str(model.path), *overrides, accept_failed_checks=accept_failed_checks))


def list_(json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """List the deployments of this project."""
    from mltool.cli.deployments import show_deployments
    from mltool.verbs import deploy

    show_deployments(deploy.list())


def status(tokens: DeploymentArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Show whether a deployment answers, and all that happened to it."""
    names, _ = read_args(tokens, "[NAME]")
    from mltool.cli.deployments import show_status
    from mltool.verbs import deploy

    show_status(deploy.status(*names))


def logs(
    tokens: DeploymentArg = None, follow: FollowOpt = False, json: JsonOpt = False, quiet: QuietOpt = False
) -> None:
    """Print what a deployment has logged."""
    names, _ = read_args(tokens, "[NAME]")
    from mltool.cli.deployments import show_log
    from mltool.verbs import deploy

    show_log(deploy.logs(*names), follow=follow)


def stop(
    tokens: DeploymentArg = None,
    yes: YesOpt = False,
    dry_run: DryRunOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Take a deployment out of service; before a service of the cloud is deleted, it asks."""
    names, _ = read_args(tokens, "[NAME]")
    from mltool.cli.asking import confirmed
    from mltool.cli.deployments import show_stopped
    from mltool.cli.show import show_plan
    from mltool.verbs import deploy

    plan = deploy.plan_stop(*names)
    if dry_run:
        show_plan(plan)
    elif confirmed(f"delete {', '.join(plan['deletes'])}?", yes=yes or not plan["deletes"]):
        show_stopped(deploy.stop(plan["deployment"]))


def rollback(
    tokens: DeploymentArg = None, dry_run: DryRunOpt = False, json: JsonOpt = False, quiet: QuietOpt = False
) -> None:
    """Bring back the model that answered before the current one."""
    names, _ = read_args(tokens, "[NAME]")
    from mltool.cli.deployments import show_deployment
    from mltool.cli.show import show_plan
    from mltool.verbs import deploy

    if dry_run:
        show_plan(deploy.plan_rollback(*names))
    else:
        show_deployment(deploy.rollback(*names))
