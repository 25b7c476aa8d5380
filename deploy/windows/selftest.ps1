# Checks on a real Windows what no other system shows: access lists, the service's settings, recovery, the Event Log, Security
# Center, Defender, and the agent's own diagnosis. Prints PASS, FAIL or SKIP for each check. The exit code is the number of
# failures. Windows PowerShell 5.1, as an administrator, after an installation and an enrollment.
#
#   powershell -NoProfile -ExecutionPolicy Bypass -File selftest.ps1 [-Disrupt] [-Program PATH] [-Data FOLDER]
#
# Without -Disrupt it only reads. With it, it reloads and stops the service, kills the agent once and waits for its restart.
[CmdletBinding()]
param(
    [string]$Program = (Join-Path $env:ProgramFiles 'Muster\muster-agent.exe'),
    [string]$Data = (Join-Path $env:ProgramData 'Muster'),
    [switch]$Disrupt
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
# The agent prints UTF-8, and PowerShell 5.1 expects the code page of the console.
[Console]::OutputEncoding = [Text.Encoding]::UTF8
$Service = 'MusterAgent'
$ServiceKey = 'HKLM:\SYSTEM\CurrentControlSet\Services\MusterAgent'
# SYSTEM and Administrators, in every language.
$Trusted = @('S-1-5-18', 'S-1-5-32-544')
$script:Passed = 0
$script:Failed = 0
$script:Skipped = 0

function Write-Verdict([string]$Verdict, [string]$Name, [string]$Detail) {
    if ($Detail) { Write-Output "$Verdict  $Name`: $Detail" } else { Write-Output "$Verdict  $Name" }
}

# A check fails by an exception, and is skipped by one whose text begins with "skip: ".
function Test-Case([string]$Name, [scriptblock]$Check) {
    try {
        $detail = & $Check
        $script:Passed++
        Write-Verdict 'PASS' $Name ($detail -join '; ')
    } catch {
        $text = $_.Exception.Message
        if ($text.StartsWith('skip: ')) {
            $script:Skipped++
            Write-Verdict 'SKIP' $Name $text.Substring(6)
        } else {
            $script:Failed++
            Write-Verdict 'FAIL' $Name $text
        }
    }
}

function Assert([bool]$Condition, [string]$Otherwise) {
    if (-not $Condition) { throw $Otherwise }
}

function Get-Sid($Identity) {
    return $Identity.Translate([System.Security.Principal.SecurityIdentifier]).Value
}

function Get-ServiceValue([string]$Name) {
    $item = Get-ItemProperty -Path $ServiceKey
    if ($item.PSObject.Properties.Name -contains $Name) { return $item.$Name }
    return $null
}

function Get-AgentProcessId {
    return [int](Get-CimInstance -ClassName Win32_Service -Filter "Name='$Service'").ProcessId
}

# Who may do anything below the folder, and who owns it.
function Assert-Closed([string]$Path) {
    $acl = Get-Acl -LiteralPath $Path
    $owner = Get-Sid (New-Object System.Security.Principal.NTAccount $acl.Owner)
    Assert ($Trusted -contains $owner) "$Path belongs to $($acl.Owner)"
    $serviceSid = Get-Sid (New-Object System.Security.Principal.NTAccount "NT SERVICE\$Service")
    foreach ($rule in $acl.Access) {
        $sid = Get-Sid $rule.IdentityReference
        Assert (($Trusted -contains $sid) -or ($sid -eq $serviceSid)) "$($rule.IdentityReference) has $($rule.FileSystemRights) on $Path"
    }
}

$script:ScanLines = $null
function Get-Scan {
    if ($null -eq $script:ScanLines) {
        # Otherwise PowerShell 5.1 takes the first line on standard error for an error of its own.
        $ErrorActionPreference = 'Continue'
        $lines = & $Program scan -o ndjson 2>$null
        Assert ($LASTEXITCODE -eq 0) "scan ended with $LASTEXITCODE"
        $script:ScanLines = @($lines | ForEach-Object { $_ | ConvertFrom-Json })
    }
    return $script:ScanLines
}

function Get-Outcome([string]$Source) {
    $found = @(Get-Scan | Where-Object { $_.record -eq 'outcome' -and $_.source -eq $Source })
    Assert ($found.Count -eq 1) "$($found.Count) outcomes of $Source"
    return $found[0]
}

function Get-Observation([string]$Source) {
    return @(Get-Scan | Where-Object { $_.record -eq 'observation' -and $_.source -eq $Source })
}

function Test-IsServer {
    return (Get-CimInstance -ClassName Win32_OperatingSystem).ProductType -ne 1
}

$identity = [System.Security.Principal.WindowsIdentity]::GetCurrent()
$principal = New-Object System.Security.Principal.WindowsPrincipal $identity
if (-not $principal.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Write-Output 'error: run this as an administrator'
    exit 2
}
if (-not (Test-Path -LiteralPath $Program)) {
    Write-Output "error: there is no $Program; install the agent first, or use -Program"
    exit 2
}

Test-Case 'the program starts' {
    $version = & $Program version
    Assert ($LASTEXITCODE -eq 0) "it ended with $LASTEXITCODE"
    $version
}

Test-Case 'Windows lists one version, which is the version of the program' {
    $keys = Get-ChildItem 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall' | ForEach-Object { Get-ItemProperty $_.PSPath }
    $mine = @($keys | Where-Object { $_.PSObject.Properties.Name -contains 'DisplayName' -and $_.DisplayName -eq 'Muster Agent' })
    Assert ($mine.Count -eq 1) "$($mine.Count) entries are listed"
    $version = (& $Program version) -replace '^muster-agent ', ''
    Assert ($mine[0].DisplayVersion -eq $version) "$($mine[0].DisplayVersion) is listed, and the program is $version"
    $version
}

Test-Case 'the program can be changed by administrators only' {
    foreach ($rule in (Get-Acl -LiteralPath $Program).Access) {
        $sid = Get-Sid $rule.IdentityReference
        # TrustedInstaller, and everybody's right to read and start it.
        $harmless = ($Trusted -contains $sid) -or $sid.StartsWith('S-1-5-80-') -or
            (($rule.FileSystemRights -band [System.Security.AccessControl.FileSystemRights]'Write, Delete, ChangePermissions, TakeOwnership') -eq 0)
        Assert $harmless "$($rule.IdentityReference) has $($rule.FileSystemRights)"
    }
}

Test-Case 'the service runs as LocalSystem' {
    $found = Get-CimInstance -ClassName Win32_Service -Filter "Name='$Service'"
    Assert ($null -ne $found) "there is no service $Service"
    Assert ($found.State -eq 'Running') "its state is $($found.State)"
    Assert ($found.StartName -eq 'LocalSystem') "it runs as $($found.StartName)"
    Assert ($found.PathName -eq "`"$Program`" run") "its command line is $($found.PathName)"
}

Test-Case 'the service starts by itself, delayed' {
    Assert ((Get-ServiceValue 'Start') -eq 2) "Start is $(Get-ServiceValue 'Start')"
    Assert ((Get-ServiceValue 'DelayedAutostart') -eq 1) 'the start is not delayed'
}

Test-Case 'the service has a security identifier of its own' {
    Assert ((Get-ServiceValue 'ServiceSidType') -eq 1) "ServiceSidType is $(Get-ServiceValue 'ServiceSidType')"
}

Test-Case 'the service has only the rights that it needs' {
    $privileges = @(Get-ServiceValue 'RequiredPrivileges' | Where-Object { $_ })
    Assert (($privileges -join ' ') -eq 'SeChangeNotifyPrivilege') "it has: $($privileges -join ', ')"
}

Test-Case 'the service restarts three times' {
    # SERVICE_FAILURE_ACTIONS: five numbers, then a type and a delay for each action. Type 1 restarts the service.
    $bytes = Get-ServiceValue 'FailureActions'
    Assert ($null -ne $bytes) 'no recovery is configured'
    $reset = [BitConverter]::ToInt32($bytes, 0)
    Assert ($reset -eq 86400) "failures are forgotten after $reset s"
    $count = [BitConverter]::ToInt32($bytes, 12)
    Assert ($count -eq 3) "$count actions are configured"
    $delays = @()
    for ($action = 0; $action -lt 3; $action++) {
        $kind = [BitConverter]::ToInt32($bytes, 20 + 8 * $action)
        Assert ($kind -eq 1) "action $($action + 1) is of type $kind"
        $delays += [BitConverter]::ToInt32($bytes, 24 + 8 * $action)
    }
    Assert (($delays -join ' ') -eq '60000 300000 900000') "the delays are $($delays -join ', ') ms"
    Assert ((Get-ServiceValue 'FailureActionsOnNonCrashFailures') -eq 1) 'an error is no failure to it'
    "after $($delays -join ', ') ms"
}

Test-Case 'the service has time for a shutdown' {
    Assert ((Get-ServiceValue 'PreshutdownTimeout') -eq 30000) "it has $(Get-ServiceValue 'PreshutdownTimeout') ms"
}

Test-Case 'the agent knows the state of its service' {
    $status = & $Program service status -o json | Out-String | ConvertFrom-Json
    Assert ($LASTEXITCODE -eq 0) "service status ended with $LASTEXITCODE"
    Assert ($status.enabled -eq 'automatic (delayed)') "it starts: $($status.enabled)"
    Assert ($status.active -eq 'running') "it is $($status.active)"
    Assert ($status.status_text -eq "process $(Get-AgentProcessId)") "it is $($status.status_text)"
    "$($status.status_text)"
}

Test-Case 'the service reloads its settings' {
    if (-not $Disrupt) { throw 'skip: only with -Disrupt' }
    $before = Get-AgentProcessId
    $asked = Get-Date
    & sc.exe control $Service paramchange | Out-Null
    Assert ($LASTEXITCODE -eq 0) "sc control ended with $LASTEXITCODE"
    $found = @()
    for ($second = 0; $second -lt 60 -and $found.Count -eq 0; $second++) {
        Start-Sleep -Seconds 1
        $found = @(Get-WinEvent -FilterHashtable @{ LogName = 'Application'; ProviderName = $Service; StartTime = $asked } -ErrorAction SilentlyContinue |
            Where-Object { $_.Message -like '*the configuration was reloaded*' })
    }
    Assert ($found.Count -gt 0) 'the Event Log has no reload'
    Assert ((Get-AgentProcessId) -eq $before) 'it is another process'
    "after $second s"
}

Test-Case 'the service stops within thirty seconds and starts again' {
    if (-not $Disrupt) { throw 'skip: only with -Disrupt' }
    $watch = [Diagnostics.Stopwatch]::StartNew()
    & $Program service stop | Out-Null
    Assert ($LASTEXITCODE -eq 0) "service stop ended with $LASTEXITCODE"
    $took = $watch.Elapsed.TotalSeconds
    Assert ($took -lt 30) "it took $took s"
    $status = & $Program service status -o json | Out-String | ConvertFrom-Json
    Assert ($status.status_text -eq 'ended without an error') "it $($status.status_text)"
    & $Program service start | Out-Null
    Assert ($LASTEXITCODE -eq 0) "service start ended with $LASTEXITCODE"
    '{0:n1} s' -f $took
}

Test-Case 'the service is restarted after a crash' {
    if (-not $Disrupt) { throw 'skip: only with -Disrupt' }
    $before = Get-AgentProcessId
    Assert ($before -ne 0) 'it is not running'
    Stop-Process -Id $before -Force
    $after = 0
    for ($second = 0; $second -lt 180; $second++) {
        Start-Sleep -Seconds 1
        $after = Get-AgentProcessId
        if ($after -ne 0 -and $after -ne $before) { break }
    }
    Assert ($after -ne 0 -and $after -ne $before) 'it was not restarted within three minutes'
    "after $($second + 1) s"
}

Test-Case 'settings and state belong to SYSTEM and administrators only' {
    $folders = @($Data, (Join-Path $Data 'agent'))
    foreach ($folder in $folders) {
        Assert (Test-Path -LiteralPath $folder) "there is no $folder"
        Assert ((Get-Acl -LiteralPath $folder).AreAccessRulesProtected) "$folder inherits rights"
        Assert-Closed $folder
    }
    $inside = @(Get-ChildItem -LiteralPath $Data -Recurse -Force)
    foreach ($item in $inside) { Assert-Closed $item.FullName }
    "$($inside.Count) files and folders"
}

Test-Case 'the host is enrolled, and the token was deleted' {
    $status = & $Program status -o json | Out-String | ConvertFrom-Json
    Assert ($LASTEXITCODE -eq 0) "status ended with $LASTEXITCODE"
    Assert ($null -ne $status.enrolled) 'the host is not enrolled'
    Assert (-not (Test-Path -LiteralPath (Join-Path $Data 'agent\enroll.token'))) 'the token is still there'
    $status.enrolled.collector
}

Test-Case 'the agent finds nothing wrong with itself' {
    $steps = & $Program check -o json | Out-String | ConvertFrom-Json
    $wrong = @($steps | Where-Object { $_.status -eq 'failed' })
    Assert ($wrong.Count -eq 0) (@($wrong | ForEach-Object { "$($_.step): $($_.found)" }) -join '; ')
    "$(@($steps).Count) steps"
}

Test-Case 'the agent writes readable lines to the Event Log' {
    Assert ([System.Diagnostics.EventLog]::SourceExists($Service)) "there is no source $Service"
    $events = @(Get-WinEvent -ProviderName $Service -MaxEvents 5)
    Assert ($events.Count -gt 0) 'there is no event'
    $mute = @($events | Where-Object { -not $_.Message })
    Assert ($mute.Count -eq 0) 'Windows finds no text for an event'
    $foreign = @($events | Where-Object { @(1, 2, 3) -notcontains $_.Id })
    Assert ($foreign.Count -eq 0) "the event $(@($foreign | ForEach-Object { $_.Id }) -join ', ') is not of the agent"
    $key = Get-ItemProperty -Path 'HKLM:\SYSTEM\CurrentControlSet\Services\EventLog\Application\MusterAgent'
    Assert ($key.TypesSupported -eq 7) "TypesSupported is $($key.TypesSupported)"
    ($events[0].Message -split "`r?`n")[0]
}

Test-Case 'every product of Security Center is reported' {
    $outcome = Get-Outcome 'security-center'
    if (Test-IsServer) {
        Assert ($outcome.outcome -eq 'not-applicable') "on a server the outcome is $($outcome.outcome): $($outcome.reason)"
        return 'a server has no Security Center'
    }
    Assert ($outcome.outcome -eq 'found') "$($outcome.outcome): $($outcome.reason)"
    $reported = @(Get-Observation 'security-center' | ForEach-Object { $_.name })
    $names = @()
    foreach ($class in 'AntiVirusProduct', 'FirewallProduct') {
        $names += @(Get-CimInstance -Namespace 'root/SecurityCenter2' -ClassName $class | ForEach-Object { $_.displayName })
    }
    foreach ($name in $names) { Assert ($reported -contains $name) "$name is missing among: $($reported -join ', ')" }
    $names -join ', '
}

Test-Case 'the state of Defender is reported' {
    $outcome = Get-Outcome 'defender'
    try {
        $status = Get-CimInstance -Namespace 'root/Microsoft/Windows/Defender' -ClassName MSFT_MpComputerStatus
    } catch {
        throw "skip: Defender does not answer on this machine ($($outcome.outcome))"
    }
    Assert ($outcome.outcome -eq 'found') "$($outcome.outcome): $($outcome.reason)"
    $version = [string]$status.AntivirusSignatureVersion
    $text = Get-Scan | ConvertTo-Json -Depth 8
    Assert ($text.Contains($version)) "the version of the signatures, $version, is missing"
    "signatures $version, $($status.AMRunningMode)"
}

Test-Case 'no source is denied or failed' {
    $wrong = @(Get-Scan | Where-Object { $_.record -eq 'outcome' -and @('denied', 'failed', 'timed-out') -contains $_.outcome })
    Assert ($wrong.Count -eq 0) (@($wrong | ForEach-Object { "$($_.source) is $($_.outcome): $($_.reason)" }) -join '; ')
}

Test-Case 'no log-off stops the service' {
    $booted = (Get-CimInstance -ClassName Win32_OperatingSystem).LastBootUpTime
    # 7002: a user has logged off. 7031 and 7034: a service ended unexpectedly; the first property is its name.
    $filter = @{ LogName = 'System'; ProviderName = 'Microsoft-Windows-Winlogon'; Id = 7002; StartTime = $booted }
    $left = @(Get-WinEvent -FilterHashtable $filter -ErrorAction SilentlyContinue)
    if ($left.Count -eq 0) { throw 'skip: nobody has logged off since the start of the machine; log off and on, then run this again' }
    $filter = @{ LogName = 'System'; ProviderName = 'Service Control Manager'; Id = 7031, 7034; StartTime = $booted }
    $ended = @(Get-WinEvent -FilterHashtable $filter -ErrorAction SilentlyContinue |
        Where-Object { $_.Properties[0].Value -eq 'Muster Agent' })
    foreach ($one in $left) {
        $because = @($ended | Where-Object { [Math]::Abs(($_.TimeCreated - $one.TimeCreated).TotalSeconds) -lt 60 })
        Assert ($because.Count -eq 0) "the service ended at the log-off of $($one.TimeCreated)"
    }
    "$($left.Count) times since $booted"
}

Write-Output ''
Write-Output "$script:Passed passed, $script:Failed failed, $script:Skipped skipped"
exit $script:Failed
