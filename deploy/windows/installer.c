/*
 * The custom actions of the MSI. They start muster-agent.exe, which does the work, and put what it says into the log of the
 * installation. Windows Installer could start the program itself, but then the token would be on its command line, where
 * the auditing of processes records it, and the reason of a failure would be lost.
 */
#include <windows.h>
#include <msi.h>
#include <msiquery.h>

/* A path of Windows, twice, with an address and a token. */
#define DATA 65536
/* What the agent says is a few lines. The pipe holds it all, so the agent never waits for a reader. */
#define OUTPUT 65536
#define FIELDS 4
/* The agent reads files under time limits of its own, which are shorter. */
#define LIMIT_MS 300000

/* How long the process of a service that was asked to stop may take to end (it delivers for ten seconds), and how often to see. */
#define ENDING_MS 30000
#define SEE_MS 100

enum { PROGRAM, COLLECTOR, TOKEN_FILE, TOKEN };

static void tell(MSIHANDLE install, INSTALLMESSAGE kind, const WCHAR *text) {
    MSIHANDLE record = MsiCreateRecord(1);
    if (!record) return;
    MsiRecordSetStringW(record, 0, L"muster-agent: [1]");
    MsiRecordSetStringW(record, 1, text);
    MsiProcessMessage(install, kind, record);
    MsiCloseHandle(record);
}

static UINT fail(MSIHANDLE install, const WCHAR *text) {
    tell(install, INSTALLMESSAGE_ERROR, text);
    return ERROR_INSTALL_FAILURE;
}

/* Cuts the data at `|`, which neither a path nor an address nor a token contains. */
static BOOL split(WCHAR *data, WCHAR *fields[FIELDS], int wanted) {
    int count = 0;
    fields[count++] = data;
    for (WCHAR *at = data; *at; at++) {
        if (*at != L'|') continue;
        if (count == wanted) return FALSE;
        *at = 0;
        fields[count++] = at + 1;
    }
    return count == wanted;
}

/* Appends an argument in quotes. A quote in it would end it early, so it is refused. */
static BOOL append(WCHAR *line, const WCHAR *value) {
    size_t length = wcslen(line), backslashes = 0;
    if (length + 2 * wcslen(value) + 4 > DATA) return FALSE;
    WCHAR *end = line + length;
    if (length) *end++ = L' ';
    *end++ = L'"';
    for (; *value; value++) {
        if (*value == L'"') return FALSE;
        backslashes = *value == L'\\' ? backslashes + 1 : 0;
        *end++ = *value;
    }
    /* Backslashes before a quote are read as half as many. */
    while (backslashes--) *end++ = L'\\';
    *end++ = L'"';
    *end = 0;
    return TRUE;
}

static void close_handle(HANDLE *handle) {
    if (*handle) CloseHandle(*handle);
    *handle = NULL;
}

/* Two pipes: this process keeps one end of each, and the agent inherits the other. */
static BOOL make_pipes(HANDLE in[2], HANDLE out[2]) {
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    return CreatePipe(&in[0], &in[1], &inherited, OUTPUT) && CreatePipe(&out[0], &out[1], &inherited, OUTPUT) &&
           SetHandleInformation(in[1], HANDLE_FLAG_INHERIT, 0) && SetHandleInformation(out[0], HANDLE_FLAG_INHERIT, 0);
}

static void give(HANDLE pipe, const WCHAR *text) {
    char bytes[4096];
    DWORD written;
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes, NULL, NULL);
    if (length > 1) WriteFile(pipe, bytes, length - 1, &written, NULL);
    SecureZeroMemory(bytes, sizeof bytes);
}

/* Puts what the agent said into the log, as an error if it failed. */
static void report(MSIHANDLE install, HANDLE pipe, BOOL failed) {
    static char bytes[OUTPUT];
    static WCHAR text[OUTPUT];
    DWORD length = 0, got = 0;
    while (length < sizeof bytes && ReadFile(pipe, bytes + length, sizeof bytes - length, &got, NULL) && got) length += got;
    int characters = length ? MultiByteToWideChar(CP_UTF8, 0, bytes, (int)length, text, OUTPUT - 1) : 0;
    while (characters && (text[characters - 1] == L'\n' || text[characters - 1] == L'\r')) characters--;
    text[characters] = 0;
    if (characters) tell(install, failed ? INSTALLMESSAGE_ERROR : INSTALLMESSAGE_INFO, text);
}

/* Starts the agent, gives it `input`, and waits. */
static UINT run(MSIHANDLE install, const WCHAR *program, WCHAR *line, const WCHAR *input) {
    HANDLE in[2] = {NULL, NULL}, out[2] = {NULL, NULL};
    STARTUPINFOW startup = {0};
    PROCESS_INFORMATION process = {0};
    UINT result = ERROR_INSTALL_FAILURE;
    DWORD code = 1;
    if (!make_pipes(in, out)) {
        fail(install, L"cannot make a pipe to the agent");
        goto done;
    }
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = in[0];
    startup.hStdOutput = startup.hStdError = out[1];
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, NULL, &startup, &process)) {
        fail(install, L"cannot start muster-agent.exe");
        goto done;
    }
    close_handle(&in[0]);
    close_handle(&out[1]);
    give(in[1], input);
    close_handle(&in[1]);
    if (WaitForSingleObject(process.hProcess, LIMIT_MS) != WAIT_OBJECT_0) {
        TerminateProcess(process.hProcess, 1);
        fail(install, L"muster-agent.exe did not finish within five minutes");
        goto done;
    }
    if (!GetExitCodeProcess(process.hProcess, &code)) code = 1;
    report(install, out[0], code != 0);
    if (code == 0) result = ERROR_SUCCESS;
done:
    close_handle(&process.hThread);
    close_handle(&process.hProcess);
    for (int end = 0; end < 2; end++) {
        close_handle(&in[end]);
        close_handle(&out[end]);
    }
    return result;
}

static WCHAR data[DATA], line[DATA];

static BOOL read_data(MSIHANDLE install, WCHAR *fields[FIELDS], int wanted) {
    DWORD length = DATA;
    BOOL whole = MsiGetPropertyW(install, L"CustomActionData", data, &length) == ERROR_SUCCESS;
    /* Windows has it in this action only and refuses to change it. Wine would write it into the log at the end. */
    MsiSetPropertyW(install, L"CustomActionData", L"");
    return whole && split(data, fields, wanted);
}

__declspec(dllexport) UINT __stdcall ConfigureAgent(MSIHANDLE install) {
    WCHAR *fields[FIELDS];
    UINT result;
    if (!read_data(install, fields, FIELDS)) {
        result = fail(install, L"MUSTER_COLLECTOR, MUSTER_TOKEN_FILE or MUSTER_TOKEN is too long or contains a |");
    } else {
        BOOL token = *fields[TOKEN] != 0;
        const WCHAR *file = token ? L"-" : fields[TOKEN_FILE];
        line[0] = 0;
        BOOL fits = append(line, fields[PROGRAM]) && append(line, L"service") && append(line, L"configure") &&
                    (!*fields[COLLECTOR] || (append(line, L"--collector") && append(line, fields[COLLECTOR]))) &&
                    (!*file || (append(line, L"--token-file") && append(line, file)));
        result = fits ? run(install, fields[PROGRAM], line, fields[TOKEN])
                      : fail(install, L"MUSTER_COLLECTOR or MUSTER_TOKEN_FILE is too long or contains a quote");
    }
    SecureZeroMemory(data, sizeof data);
    return result;
}

/* The program that the action's data names, with a verb of `service` and nothing else. */
static UINT run_service_verb(MSIHANDLE install, const WCHAR *verb, const WCHAR *option) {
    WCHAR *fields[FIELDS];
    line[0] = 0;
    BOOL fits = read_data(install, fields, 1) && append(line, fields[PROGRAM]) && append(line, L"service") &&
                append(line, verb) && (!option || append(line, option));
    return fits ? run(install, fields[PROGRAM], line, L"") : fail(install, L"the path of the program is too long");
}

/* The service exists by now; this sets what the tables of the package do not. */
__declspec(dllexport) UINT __stdcall SetUpService(MSIHANDLE install) {
    return run_service_verb(install, L"install", L"--no-start");
}

/* Whether the service runs or is about to, so that its program is rightly in use. One that stops may still deliver. */
static BOOL service_runs(void) {
    SERVICE_STATUS status = {0};
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager ? OpenServiceW(manager, L"MusterAgent", SERVICE_QUERY_STATUS) : NULL;
    BOOL runs = service && QueryServiceStatus(service, &status) && status.dwCurrentState != SERVICE_STOPPED &&
                status.dwCurrentState != SERVICE_STOP_PENDING;
    if (service) CloseServiceHandle(service);
    if (manager) CloseServiceHandle(manager);
    return runs;
}

/*
 * A service has stopped before its process has ended, and Wine does not even wait until it has stopped. While the process holds
 * the program, Windows Installer would replace it at the next restart only.
 */
__declspec(dllexport) UINT __stdcall WaitForAgent(MSIHANDLE install) {
    WCHAR *fields[FIELDS];
    if (!read_data(install, fields, 1)) return ERROR_SUCCESS;
    /* As when an upgrade removes the previous version: by then the new service runs. */
    if (service_runs()) return ERROR_SUCCESS;
    for (DWORD waited = 0; waited < ENDING_MS; waited += SEE_MS) {
        DWORD all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        HANDLE file = CreateFileW(fields[PROGRAM], GENERIC_WRITE, all, NULL, OPEN_EXISTING, 0, NULL);
        if (file != INVALID_HANDLE_VALUE) {
            CloseHandle(file);
            return ERROR_SUCCESS;
        }
        DWORD error = GetLastError();
        if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) return ERROR_SUCCESS;
        Sleep(SEE_MS);
    }
    return ERROR_SUCCESS;
}

__declspec(dllexport) UINT __stdcall PurgeAgent(MSIHANDLE install) {
    return run_service_verb(install, L"purge", NULL);
}
